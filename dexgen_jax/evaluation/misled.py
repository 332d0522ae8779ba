"""An expert that is misled: part of the time it is shown a goal that is not the one that counts."""

import jax
import jax.numpy as jnp
from brax.envs.base import State, Wrapper

from dexgen_jax.envs.anygrasp import Anygrasp

SPELL = 20  # control steps for which it is misled, or not, before chance decides anew


class Misled(Wrapper):
    """Anygrasp in which a policy sees, for `share` of the time, another goal near the grasp it comes from.

    What counts is the true goal. Whether it is misled, and to where, follows from the goal and its age alone: all who
    act in it are misled alike.
    """

    def __init__(self, env: Anygrasp, share: float):
        super().__init__(env)
        self.share = share

    def reset(self, rng: jax.Array, *level: jax.Array | float) -> State:
        """As the task's own `reset`."""
        return self._mislead(self.env.reset(rng, *level))

    def step(self, state: State, action: jax.Array) -> State:
        """As the task's own `step`."""
        return self._mislead(self.env.step(state, action))

    def _mislead(self, state: State) -> State:
        info = state.info
        spell = jax.random.fold_in(jax.random.PRNGKey(0), info["goal"])
        key_whether, key_where = jax.random.split(jax.random.fold_in(spell, info["goal_age"] // SPELL))
        other = self.env.library.draw_goal(key_where, info["origin"])
        shown = jnp.where(jax.random.bernoulli(key_whether, self.share), other, info["goal"])
        return state.replace(obs=self.env.observe(state.pipeline_state, info | {"goal": shown}))
