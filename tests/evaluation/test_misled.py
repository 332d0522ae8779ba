"""A misled expert sees another goal for a share of the time; what counts stays the true one."""

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State

from dexgen_jax.evaluation.misled import SPELL, Misled


class _Goals(Env):
    """Shows its goal; goals are numbers, and any may follow."""

    library = type("Library", (), {"draw_goal": staticmethod(lambda key, row: jax.random.randint(key, (), 0, 1000))})
    observation_size, action_size, backend = 1, 1, "none"

    def reset(self, rng):
        info = {"goal": jnp.int32(2000), "origin": jnp.int32(0), "goal_age": jnp.int32(0)}
        zero = jnp.zeros(())
        return State(None, self.observe(None, info), zero, zero, {}, info)

    def step(self, state, action):
        info = state.info | {"goal_age": state.info["goal_age"] + 1}
        return state.replace(obs=self.observe(None, info), info=info)

    def observe(self, physics, info):
        return {"state": info["goal"][None]}


def _shown(share, steps=4000):
    env = Misled(_Goals(), share)
    step = lambda state, _: ((then := env.step(state, jnp.zeros(1))), (then.obs["state"][0], then.info["goal"]))
    shown, true = jax.lax.scan(step, env.reset(jax.random.PRNGKey(0)), None, steps)[1]
    np.testing.assert_array_equal(true, 2000)
    return np.asarray(shown)


def test_half_the_time_another_goal_is_shown_in_spells():
    shown = _shown(0.5)
    assert abs((shown != 2000).mean() - 0.5) < 0.1
    changes = np.flatnonzero(np.diff(shown)) + 2  # steps count from 1
    assert len(changes) > 50 and np.all(changes % SPELL == 0)


def test_nobody_is_misled_who_shall_not_be():
    assert np.all(_shown(0.0, 100) == 2000) and np.all(_shown(1.0, 100) != 2000)
