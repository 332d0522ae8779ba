import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_env import FakeEnv

from dexgen_jax.evaluation import assist, operators

STEPS, ENVS = 40, 6


def _push(obs, key):
    """Every joint goes on by 0.5 action units: the fake object falls at every 5th action, see test_collect."""
    return 0.5 * jnp.ones_like(obs["state"])


# Holds the hand still for the first `alpha` ticks after a reset, then passes the command on.
PATIENT = assist.Helper(
    reset=lambda q, target: jnp.zeros((), jnp.int32),
    act=lambda ticks, q, target, command, alpha, key: (jnp.where(ticks < alpha, target, command), ticks + 1),
)


@functools.cache
def _simulate(operator: str, helped: bool = False, alpha: float = 0.0, seed: int = 0):
    tally, trace = _program(helped)(operators.parse(operator), jnp.float32(alpha), jax.random.PRNGKey(seed))
    return jax.tree.map(np.asarray, (tally, trace))


@functools.cache
def _program(helped: bool):
    return jax.jit(lambda operator, alpha, key: assist.simulate(
        FakeEnv(reach=0.3, limits=True), _push, operator, key, ENVS, STEPS, 2, PATIENT if helped else None, alpha
    ))  # fmt: skip


def test_every_drop_and_goal_is_counted_once():
    tally, trace = _simulate("clean")
    np.testing.assert_array_equal(tally.drops, 8)  # 40 actions, each 5th drops
    np.testing.assert_array_equal(tally.goals, 0)  # the first goal would come at age 7
    np.testing.assert_array_equal(np.flatnonzero(trace.drops[:, 0]), np.arange(4, 40, 5))
    assert trace.q.shape == (STEPS, 2, 16) and trace.object["size"].shape == (STEPS, 2, 3)


def test_a_hand_that_is_still_drops_nothing_and_goals_are_counted():
    tally, _ = _simulate("still")
    np.testing.assert_array_equal(tally.drops, 0)
    np.testing.assert_array_equal(tally.goals, 40 // 7)


def test_a_helper_that_passes_commands_on_changes_nothing():
    alone, _ = _simulate("noisy 0.75")
    passed, _ = _simulate("noisy 0.75", helped=True)
    assert alone.drops.sum() > 0
    np.testing.assert_array_equal(passed.drops, alone.drops)


def test_the_helpers_memory_begins_anew_with_each_grasp():
    tally, trace = _simulate("clean", helped=True, alpha=3.0)
    # 3 still ticks, then 5 actions to the drop: rows 7, 15, 23, 31, 39. A memory that went on would drop at 7, 12, ...
    np.testing.assert_array_equal(np.flatnonzero(trace.drops[:, 1]), np.arange(7, 40, 8))
    np.testing.assert_array_equal(tally.drops, 5)


def test_all_rows_begin_alike_and_runs_repeat():
    _, alone = _simulate("noisy 0.75")
    _, helped = _simulate("clean", helped=True, alpha=3.0)
    np.testing.assert_array_equal(alone.q[0], helped.q[0])
    np.testing.assert_array_equal(alone.goal_pose[0], helped.goal_pose[0])
    _simulate.cache_clear()
    np.testing.assert_array_equal(_simulate("noisy 0.75")[1].q, alone.q)


def test_a_row_says_what_the_tally_holds():
    tally = assist.Tally(jnp.array([3, 1, 0, 2]), jnp.array([1, 0, 0, 1]), jnp.array([0, 0, 0, 1]))
    row = assist.summarise("noisy 0.75", 150.0, tally, 30.0, strength=0.1)
    assert (row["strength"], row["alpha"]) == (0.1, 150.0)
    assert (row["drops"], row["goals"], row["seconds"], row["blown_up"]) == (6, 2, 120, 1)
    assert row["hold_time"]["value"] == 20.0 and row["goals_per_minute"]["value"] == 1.0
    assert row["halves"] == [{"drops": 3, "seconds": 60.0}, {"drops": 3, "seconds": 60.0}]
    # Variance (2.25 + 0.25 + 2.25 + 0.25) / 3 over mean 1.5.
    np.testing.assert_allclose(row["dispersion"], 5 / 3 / 1.5)


def _row(strength, even, odd):
    tally = assist.Tally(jnp.array([even, odd]), jnp.zeros(2, jnp.int32), jnp.zeros(2, jnp.int32))
    return assist.summarise("noisy", None, tally, 100.0, strength)


def test_the_best_strength_is_chosen_on_one_half_and_measured_on_the_other():
    rows = [_row(None, 40, 60), _row(0.0, 0, 0), _row(0.1, 12, 3), _row(0.3, 10, 20)]
    found = assist.compare(rows)
    # The even half prefers 0.3 (10 < 12) though the odd one would not; strength 0 does not hear the operator.
    assert found["best_strength"] == 0.3
    assert found["assisted_over_unassisted"]["value"] == pytest.approx(60 / 20)
    assert (found["unassisted"]["drops"], found["assisted"]["drops"]) == (100, 30)
