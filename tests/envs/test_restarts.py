"""Brax's auto-reset puts back physics and observation only: an episode must begin the same however it is begun."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as wrappers

from dexgen_jax.envs import registry
from dexgen_jax.envs.history import History

TASKS = ("anygrasp", "fine_rotation", "free_motion")
COUNT, STEPS = 128, 10  # environments, and control steps of an episode: 1 s
SILENT = {
    f"randomization.{name}": 0.0
    for name in ("push_probability", "joint_noise", "joint_offset", "action_noise", "gravity_walk")
}


def load(name, engine, library, overrides=None):
    return History(registry.make(name, overrides, engine=engine, library=library), 3)


def lived(wrapped, first, actions):
    """All states (steps, ...) of an environment that does `actions` (steps, ..., n) from `first` on."""

    def step(state, action):
        then = wrapped.step(state, action)
        return then, then

    return jax.jit(lambda s, a: jax.lax.scan(step, s, a)[1])(first, actions)


@pytest.mark.parametrize("name", TASKS)
def test_after_an_auto_reset_the_first_episode_comes_again(name, engine, library):
    """Without noise, and with one environment alone: everything but the key is as it was, bit for bit."""
    env = load(name, engine, library, SILENT)
    wrapped = wrappers.AutoResetWrapper(wrappers.EpisodeWrapper(env, episode_length=3, action_repeat=1))
    wild = jax.random.uniform(jax.random.PRNGKey(1), (3, env.action_size), minval=-1.0)
    states = lived(wrapped, jax.jit(wrapped.reset)(jax.random.PRNGKey(0)), jnp.concatenate([wild, wild]))
    assert states.info["steps"].tolist() == [1, 2, 3, 1, 2, 3]
    for leaf in ("age", "control_steps"):
        assert states.info[leaf].tolist() == [1, 2, 3, 1, 2, 3]
    once, again = (jax.tree.map(lambda x, part=part: x[part], states) for part in (slice(0, 3), slice(3, 6)))
    jax.tree.map(np.testing.assert_array_equal, (once.obs, once.reward), (again.obs, again.reward))
    noise = {"rng", "episode_metrics"}
    for entry in set(once.info) - noise:
        jax.tree.map(np.testing.assert_array_equal, once.info[entry], again.info[entry])
    assert len(np.unique(np.asarray(states.info["rng"])[:, 0])) == 6  # noise does not come again


@pytest.mark.parametrize("name", ("anygrasp", "fine_rotation"))  # in free motion there is nothing to drop
def test_a_still_hand_holds_as_well_after_an_auto_reset_as_after_a_reset(name, engine, library):
    wrapped = wrappers.wrap(load(name, engine, library), episode_length=STEPS)

    away = jax.random.uniform(jax.random.PRNGKey(1), (COUNT, wrapped.action_size), minval=-1.0)

    def step(carry, _):
        """A hand that goes away from its grasp in its first episode and is still in the next ones."""
        state, episode = carry
        then = wrapped.step(state, jnp.where(episode[:, None] == 0, away, 0.0))
        return (then, episode + (then.done > 0)), (episode, then.metrics["drop"])

    @jax.jit
    def live(state, episode):
        return jax.lax.scan(step, (state, episode), None, length=2 * STEPS)[1]

    first = jax.jit(wrapped.reset)(jax.random.split(jax.random.PRNGKey(0), COUNT))
    drops = []  # after a reset, and after an auto-reset
    for begin in (1, 0):
        episode, drop = live(first, jnp.full(COUNT, begin))
        drops.append(int(drop[episode == 1].sum()))
    assert max(drops) < 0.05 * COUNT, drops
