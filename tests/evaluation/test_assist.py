import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_records import record
from fake_env import FakeEnv

from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.evaluation import assist, helping, operators

STEPS, ENVS = 40, 6


def _push(obs, key):
    """Every joint goes on by 0.5 action units: the fake object falls at every 5th action, see test_collect."""
    return 0.5 * jnp.ones_like(obs["state"])


# Holds the hand still for the first `strength` ticks after a reset, then passes the command on.
PATIENT = helping.Helper(
    reset=lambda q, target: jnp.zeros((), jnp.int32),
    act=lambda ticks, q, target, command, strength, key: (jnp.where(ticks < strength, target, command), ticks + 1),
)


@functools.cache
def _simulate(operator: str, helped: bool = False, alpha: float = 0.0, seed: int = 0):
    found, trace = _program(helped)(operators.parse(operator), jnp.float32(alpha), jax.random.PRNGKey(seed))
    return jax.tree.map(np.asarray, (found, trace))


@functools.cache
def _program(helped: bool):
    return jax.jit(
        lambda operator, alpha, key: assist.simulate(
            FakeEnv(reach=0.3, limits=True), _push, operator, key, ENVS, STEPS, 2, PATIENT if helped else None, alpha
        )
    )


def test_every_drop_and_goal_is_counted_once():
    found, trace = _simulate("clean")
    np.testing.assert_array_equal(found.drop.sum(0), 8)  # 40 actions, each 5th drops
    np.testing.assert_array_equal(found.goal.sum(0), 0)  # the first goal would come at age 7
    np.testing.assert_array_equal(np.flatnonzero(trace.drops[:, 0]), np.arange(4, 40, 5))
    assert trace.q.shape == (STEPS, 2, 16) and trace.object["size"].shape == (STEPS, 2, 3)


def test_a_hand_that_is_still_drops_nothing_and_goals_are_counted():
    found, _ = _simulate("still")
    np.testing.assert_array_equal(found.drop.sum(0), 0)
    np.testing.assert_array_equal(found.goal.sum(0), 40 // 7)


def test_a_helper_that_passes_commands_on_changes_nothing():
    alone, _ = _simulate("noisy 0.75")
    passed, _ = _simulate("noisy 0.75", helped=True)
    assert alone.drop.sum() > 0
    np.testing.assert_array_equal(passed.drop, alone.drop)
    assert passed.kept.max() < 1e-6 and passed.intervention.max() < 1e-6


def test_the_helpers_memory_begins_anew_with_each_grasp():
    found, trace = _simulate("clean", helped=True, alpha=3.0)
    # 3 still ticks, then 5 actions to the drop: rows 7, 15, 23, 31, 39. A memory that went on would drop at 7, 12, ...
    np.testing.assert_array_equal(np.flatnonzero(trace.drops[:, 1]), np.arange(7, 40, 8))
    np.testing.assert_array_equal(found.drop.sum(0), 5)


def test_all_rows_begin_alike_and_runs_repeat():
    _, alone = _simulate("noisy 0.75")
    _, helped = _simulate("clean", helped=True, alpha=3.0)
    np.testing.assert_array_equal(alone.q[0], helped.q[0])
    np.testing.assert_array_equal(alone.goal_pose[0], helped.goal_pose[0])
    _simulate.cache_clear()
    np.testing.assert_array_equal(_simulate("noisy 0.75")[1].q, alone.q)


def test_the_age_of_a_goal_counts_the_step_that_reached_it():
    env, still = FakeEnv(), jnp.zeros(16)

    @jax.jit
    def age_after(age):
        state = env.reset(jax.random.PRNGKey(0))
        state = state.replace(info=state.info | {"goal_age": age})
        return assist._record(env, state, env.step(state, still), still, jnp.zeros((3, 16))).goal_age

    assert age_after(jnp.int32(6)) == 7


def test_a_row_says_what_was_recorded():
    happened = record([3, 1, 0, 2], [1, 0, 0, 1], steps=300, blown_up=1)
    row = assist.summarise("noisy 0.75", happened, helping.CONTROLLER, strength=0.1)
    assert (row["helper"], row["strength"]) == ("controller", 0.1)
    assert (row["drops"], row["goals"], row["seconds"], row["blown_up"]) == (6, 2, 120, 1)
    assert row["hold_time"]["value"] == 20.0 and row["goals_per_minute"]["value"] == 1.0
    assert row["halves"] == [{"drops": 3, "goals": 1, "seconds": 60.0}, {"drops": 3, "goals": 1, "seconds": 60.0}]
    # Variance (2.25 + 0.25 + 2.25 + 0.25) / 3 over mean 1.5.
    np.testing.assert_allclose(row["dispersion"], 5 / 3 / 1.5)


def _row(strength, drops, goals=(0, 0)):
    return assist.summarise("noisy", record(drops, goals), "alone" if strength is None else "controller", strength)


def test_the_strength_is_chosen_on_one_half_and_measured_on_the_other():
    rows = [_row(None, (40, 60), (9, 10)), _row(0.0, (0, 0)), _row(0.1, (5, 3), (6, 30)), _row(0.3, (10, 20), (8, 15))]
    rows.append(_row(1.0, (20, 0), (90, 90)))  # goals, and no hold
    found = assist.compare(rows)
    # Even half: 0.1 has the fewest drops, 0.3 less than twice as many and more goals; 0 does not hear the operator.
    assert found["best_strength"] == 0.3
    assert found["hold_time_ratio"]["value"] == pytest.approx(60 / 20)
    assert found["goals_ratio"]["value"] == pytest.approx(15 / 10)
    assert (found["alone"]["drops"], found["helped"]["drops"], found["helped"]["goals"]) == (100, 30, 23)


def _trace(wanted, asked, done, drops=None):
    steps = len(wanted)
    column = lambda x: np.asarray(x, np.float32).reshape(steps, 1, 1)
    drops = np.zeros((steps, 1), bool) if drops is None else drops
    nothing = np.zeros((steps, 1))
    return assist.Trace(*[nothing] * 5, drops, nothing, *map(column, (wanted, asked, done)))


def test_following_by_hand():
    wanted = np.sin(np.arange(40) / 5)
    found = assist.following(_trace(wanted, wanted, 0.5 * wanted))
    np.testing.assert_allclose(list(found["correlation"].values()), 1.0, rtol=1e-6)  # half as far, the same way
    assert list(found["correlation"]) == ["0.1 s", "0.5 s", "1 s", "2 s"] and found["overruled"] == 0
    assert assist.following(_trace(wanted, np.ones(40), -np.ones(40)))["overruled"] == 1
    # Noise that is new in every tick hides the wish in a tick, less so in a second.
    noise = np.random.default_rng(0).choice([-1.0, 1.0], 2000)
    wish = np.repeat(np.random.default_rng(1).choice([-1.0, 1.0], 100), 20)
    correlation = assist.following(_trace(wish, wish + 3 * noise, wish + 3 * noise))["correlation"]
    assert correlation["0.1 s"] < 0.4 < 0.6 < correlation["1 s"]
    still = assist.following(_trace(np.zeros(40), np.zeros(40), np.zeros(40)))
    assert still["overruled"] is None and still["correlation"]["1 s"] is None


def test_no_window_goes_on_after_a_drop():
    wanted, drops = np.ones(20), np.zeros((20, 1), bool)
    wanted[10:], drops[9] = -1, True  # another grasp, another wish
    done = wanted.copy()
    done[10:] = 1
    done += 0.01 * np.arange(20)
    # Windows of 2 s would have to cross the drop, those of 1 s lie on one side of it.
    found = assist.following(_trace(wanted, wanted, done, drops))["correlation"]
    assert found["2 s"] is None and found["1 s"] < 0


def test_a_low_passed_wish_is_a_running_mean():
    helper, target = helping.low_pass(share=0.5, gain=2.0), jnp.zeros(3)
    aim, mean = helper.act(helper.reset(target, target), target, target, jnp.ones(3), 0.0, None)
    np.testing.assert_allclose(aim, 1.0)  # 2 * 0.5 * 1
    np.testing.assert_allclose(helper.act(mean, target, target, jnp.ones(3), 0.0, None)[0], 1.5)  # 2 * (0.25 + 0.5)


def test_a_wish_is_turned_down_as_far_as_it_is_doubted():
    config, std, target = ListeningConfig(), 0.05, jnp.zeros(3)
    helper = helping.turn_down(config, std)
    for wish, share in ((0.5 * std, 100 / 101), (3 * std, 1 / 9)):
        state, kept = helper.reset(target, target), config.persistence * (1 - share)
        for _ in range(100):
            aim, state = helper.act(state, target, target, wish * jnp.ones(3), 0.0, None)
        np.testing.assert_allclose(aim, share / (1 - kept) * wish, rtol=1e-3)  # x = kept x + share wish


def test_what_a_row_holds_besides():
    drop = np.zeros((50, 2), bool)
    drop[[9, 29], 0] = True
    happened = record([0, 0], steps=50)
    happened = happened.replace(drop=drop, object=np.repeat([[0, 3]], 50, axis=0), goal=drop[:, ::-1])
    details = assist.details(happened)
    assert details["each"] == {"drops": [2, 0], "goals": [0, 2]}
    assert details["holds"] == {"lost": [1.0, 2.0], "open": [2.0, 5.0]}  # s
    assert details["by_object"] == {
        "0": {"seconds": 5.0, "drops": 2, "goals": 0},
        "3": {"seconds": 5.0, "drops": 0, "goals": 2},
    }


def test_intervention_command_kept_and_jerk_by_hand():
    # The fake expert asks 0.5 action units of 0.15 rad; the patient helper makes nothing of it for 3 ticks.
    found, _ = _simulate("clean", helped=True, alpha=3.0)
    np.testing.assert_allclose(found.intervention[:3], 0.075, rtol=1e-5)
    np.testing.assert_allclose(found.intervention[3:5], 0, atol=1e-6)
    assert np.all(found.kept[:3] > 1e-3) and np.all(found.kept[3:5] < 1e-6)
    np.testing.assert_allclose(found.jerk[:6, 0], np.array([0, 0, 0, 75, 75, 0]), atol=0.1)  # 0.075 rad / (0.1 s)^3
