"""Proprioception history: what the joints read and were told in the last control steps, beside what a task shows.

One reading cannot tell a slipping object from a heavy one; a few of them in a row can.
"""

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State, Wrapper

from dexgen_jax.envs import restarts


class History(Wrapper):
    """Adds the observation `history` (rows * 2 n,): readings and targets [rad] of the last `rows` control steps.

    Oldest first, each row n readings and then n targets, the last one the present. A reset fills it with the readings
    of its start. The task needs `info['reading']` and `info['target']`, both (n,).
    """

    def __init__(self, env: Env, rows: int):
        super().__init__(env)
        if rows < 1:
            raise ValueError(f"a history has at least one row, got {rows}")
        self.rows = rows

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        return {**self.env.observation_size, "history": (self.rows * 2 * self.env.action_size,)}

    def reset(self, rng: jax.Array, *level: jax.Array | float) -> State:
        """As the task's own `reset`, with the level of its curriculum if it has one."""
        state = self.env.reset(rng, *level)
        state = _remember(state, jnp.tile(_row(state), (self.rows, 1)))
        return state.replace(info=restarts.remember_more(state.info))

    def step(self, state: State, action: jax.Array) -> State:
        """As the task's own `step`; the oldest row goes, the present comes."""
        state = state.replace(info=restarts.recall(state))
        before = state.info["history"]
        after = self.env.step(state, action)
        return _remember(after, jnp.concatenate([before[1:], _row(after)[None]]))


def _row(state: State) -> jax.Array:
    return jnp.concatenate([state.info["reading"], state.info["target"]])


def _remember(state: State, rows: jax.Array) -> State:
    return state.replace(obs=state.obs | {"history": rows.reshape(-1)}, info=state.info | {"history": rows})
