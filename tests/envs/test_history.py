"""Laws: rows move up one a step, a reset forgets, and what the task itself does stays as it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as wrappers
from fake_env import TrainableEnv

from dexgen_jax.envs.history import History
from dexgen_jax.experts import ppo, rollout
from dexgen_jax.experts.networks import ActorCritic, NetworkConfig

ROWS, LIMIT, STEPS = 3, 5, 8


def task():
    return TrainableEnv(reach=9.0, episode_steps=LIMIT)


def lived(env):
    """States of one environment that resets itself, (STEPS + 1, ...)."""
    act = lambda state, _: (rollout.auto_reset_step(env, state, jnp.full(16, 0.5))[0],) * 2
    first = env.reset(jax.random.PRNGKey(0))
    states = jax.jit(lambda s: jax.lax.scan(act, s, None, length=STEPS)[1])(first)
    return jax.tree.map(lambda a, b: np.concatenate([np.asarray(a)[None], b]), first, states)


@pytest.fixture(scope="module")
def states():
    return lived(History(task(), ROWS))


def test_it_holds_the_last_readings_and_targets_oldest_first_and_a_reset_forgets(states):
    now = np.concatenate([states.info["reading"], states.info["target"]], axis=1)
    past = states.obs["history"].reshape(-1, ROWS, 32)
    # A start fills all rows; after steps 1 and 2 it is left in the older ones. The fifth step ends the episode.
    begun = [0, 0, 0, 0, 0, 5, 5, 5, 5]
    for t, first in enumerate(begun):
        rows = [max(t - back, first) for back in (2, 1, 0)]
        np.testing.assert_array_equal(past[t], now[rows], err_msg=f"after {t} steps")
    assert np.abs(now[5] - now[4]).max() > 0.1  # it was another start


def test_the_task_is_the_same_with_and_without_it(states):
    plain = lived(task())
    del states.info["history"], states.obs["history"]
    jax.tree.map(np.testing.assert_array_equal, states, plain)


def test_sizes_wrappers_and_rows():
    env = History(task(), ROWS)
    assert env.observation_size == {"state": (16,), "privileged_state": (16,), "history": (ROWS * 32,)}
    assert env.hand.num_joints == 16 and not hasattr(env, "first_level")  # the task shows through
    wrapped = wrappers.EpisodeWrapper(wrappers.VmapWrapper(env), episode_length=2, action_repeat=1)
    state = wrapped.step(wrapped.reset(jax.random.split(jax.random.PRNGKey(0), 4)), jnp.zeros((4, 16)))
    assert state.obs["history"].shape == (4, ROWS * 32)
    with pytest.raises(ValueError, match="a history has at least one row, got 0"):
        History(task(), 0)


def test_a_training_carries_its_encoder_and_its_statistics():
    env, config = History(task(), ROWS), ppo.PPOConfig(num_envs=4, unroll_length=4, epochs=1, minibatches=1)
    networks = ActorCritic(NetworkConfig(actor=(8,), critic=(8,), history=ROWS), env.action_size)
    begun = jax.eval_shape(lambda key: ppo.init(env, networks, config, key, LIMIT), jax.random.PRNGKey(0))
    after, metrics = jax.eval_shape(lambda state: ppo.iteration(env, networks, config, state), begun)
    assert "history" in begun.params and begun.stats["history"].mean.shape == (ROWS * 32,)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), begun)
    assert "obs/history" in metrics  # where a NaN in it would be named


def test_a_curriculum_is_asked_for_its_level():
    class Levelled(TrainableEnv):
        first_level = 0.25

        def reset(self, rng, level=1.0):
            state = super().reset(rng)
            return state.replace(info=state.info | {"level": jnp.asarray(level)})

    state = rollout.start(History(Levelled(), 2), jax.random.PRNGKey(0), 3, LIMIT, 0.25)
    np.testing.assert_array_equal(state.info["level"], 0.25)
