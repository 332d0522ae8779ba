"""Brax's auto-reset puts back physics and observation only: an episode must begin the same however it is begun."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as wrappers

from dexgen_jax.envs import registry
from dexgen_jax.envs.history import History

# The others start again in their own tests, and here with `-m slow`.
TASKS = ("anygrasp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fine_rotation", "free_motion")))
COUNT, STEPS = 64, 10  # environments, and control steps of an episode: 1 s
SILENT = {
    f"randomization.{name}": 0.0
    for name in ("push_probability", "joint_noise", "joint_offset", "action_noise", "gravity_walk")
}


@pytest.fixture(scope="module", params=TASKS)
def live(request, engine, library):
    """`live(still_from)`: the states of two episodes under Brax's wrappers, (2 STEPS, COUNT, ...), each one's number.

    A hand goes away from its grasp, always the same way, and is still in its episodes from number `still_from` on.
    """
    env = History(registry.make(request.param, SILENT, engine=engine, library=library), 3)
    wrapped = wrappers.wrap(env, episode_length=STEPS)
    away = jax.random.uniform(jax.random.PRNGKey(1), (COUNT, wrapped.action_size), minval=-1.0)

    @jax.jit
    def program(state, still_from):
        def step(carry, _):
            state, episode = carry
            then = wrapped.step(state, jnp.where(episode[:, None] < still_from, away, 0.0))
            return (then, episode + (then.done > 0)), (then, episode)

        return jax.lax.scan(step, (state, jnp.zeros(COUNT, jnp.int32)), None, length=2 * STEPS)[1]

    first = jax.jit(wrapped.reset)(jax.random.split(jax.random.PRNGKey(0), COUNT))
    return functools.cache(lambda still_from: jax.device_get(program(first, still_from)))


def test_after_an_auto_reset_the_first_episode_comes_again(live):
    """Without noise: everything but the key is as it was, bit for bit, for as long as no goal is reached."""
    states, _ = live(99)
    kept = states.done[: STEPS - 1].sum(0) == 0
    assert kept.sum() > 3
    states = jax.tree.map(lambda x: x[:, kept], states)
    for name in ("steps", "age", "control_steps"):
        np.testing.assert_array_equal(states.info[name][: STEPS + 2, 0], [*range(1, STEPS + 1), 1, 2])
    once, again = (jax.tree.map(lambda x, part=part: x[part], states) for part in (slice(3), slice(STEPS, STEPS + 3)))
    jax.tree.map(np.testing.assert_array_equal, (once.obs, once.reward), (again.obs, again.reward))
    noise = {"rng", "episode_metrics"}
    for entry in set(once.info) - noise:
        jax.tree.map(np.testing.assert_array_equal, once.info[entry], again.info[entry])
    assert len(np.unique(states.info["rng"][..., 0])) == states.done.size  # noise does not come again


def test_braxs_own_wrappers_end_and_count_an_episode(live):
    states, _ = live(99)
    kept = states.done[: STEPS - 1].sum(0) == 0
    np.testing.assert_array_equal(states.done[STEPS - 1, kept], 1)
    in_hand = 1 - states.metrics["drop"][STEPS - 1, kept]  # what drops just then is not cut
    np.testing.assert_array_equal(states.info["truncation"][STEPS - 1, kept], in_hand)
    assert in_hand.any()
    earned = states.info["episode_metrics"]["sum_reward"][STEPS - 1, kept]
    np.testing.assert_allclose(earned, states.reward[:STEPS, kept].sum(0), rtol=1e-4, atol=1e-4)


def test_a_still_hand_holds_as_well_after_an_auto_reset_as_after_a_reset(live):
    """In free motion there is nothing to drop."""
    drops = []
    for number in (0, 1):  # the episode after a reset, and that after an auto-reset
        states, episode = live(number)
        drops.append(int(states.metrics["drop"][episode == number].sum()))
    assert max(drops) < 0.05 * COUNT, drops
