"""Rollouts: environments that reset themselves to a fresh start, and a scan of a policy over them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State
from flax import struct

from dexgen_jax.experts.seldom import seldom

_RESETS = 16  # environments that are reset together

Policy = Callable[[dict[str, jax.Array], jax.Array], Any]  # (obs, key) -> action


@struct.dataclass
class Transition:
    """One step of one environment; in a rollout every field has leading axes (time, environments)."""

    obs: dict[str, jax.Array]
    action: jax.Array  # (n,)
    reward: jax.Array  # ()
    termination: jax.Array  # () 1 where the object was dropped
    truncation: jax.Array  # () 1 where the time was up
    next_obs: dict[str, jax.Array]  # before any reset
    metrics: dict[str, jax.Array]


def ended(state: State) -> jax.Array:
    """True where an episode is over, by termination or by truncation."""
    return (state.done > 0) | (state.info["truncation"] > 0)


def auto_reset_step(env: Env, state: State, action: jax.Array) -> tuple[State, State]:
    """Steps one environment; returns (the state to go on from, the state reached).

    They differ where an episode ended: there the first is a fresh reset, a new grasp and a new world. The reset's
    key comes from the environment's own, so an interrupted run resumes to the same future. A level in the state's
    info, of a curriculum, outlives the episode.
    """
    reached = env.step(state, action)
    key_reset, key_go_on = jax.random.split(reached.info["rng"])
    reached = reached.replace(info=reached.info | {"rng": key_go_on})
    return _restart(env)(ended(reached), reached, key_reset, reached.info.get("level")), reached


def _restart(env: Env) -> Callable[[jax.Array, State, jax.Array, jax.Array | None], State]:
    """Returns `restart(over, state, key, level)`: `state`, or a fresh reset where an episode is `over`."""
    return seldom(lambda key, level: env.reset(key) if level is None else env.reset(key, level), lambda size: _RESETS)


def start(env: Env, key: jax.Array, count: int, episode_steps: int, level: float | None = None) -> State:
    """Resets `count` environments at random ages, or their time limits would fall due together for ever.

    `level`, if any, is that of the environment's curriculum.
    """
    key_reset, key_age = jax.random.split(key)
    reset = env.reset if level is None else lambda key: env.reset(key, level)
    state = jax.vmap(reset)(jax.random.split(key_reset, count))
    age = jax.random.randint(key_age, (count,), 0, episode_steps, jnp.int32)
    return state.replace(info=state.info | {"age": age})


def adapt(env: Env, state: State, metrics: dict[str, jax.Array]) -> State:
    """Moves the curriculum of a batch of environments, where there is one, by the means of a rollout's metrics."""
    if "level" not in state.info:
        return state
    return state.replace(info=state.info | {"level": env.next_level(state.info["level"], metrics)})


def rollout(env: Env, policy: Policy, state: State, key: jax.Array, steps: int) -> tuple[State, Transition]:
    """Steps a batch of environments `steps` times; returns the last state and transitions (steps, environments, ...).

    `policy(obs, key)` acts on the whole batch of observations.
    """

    def step(state: State, key: jax.Array) -> tuple[State, Transition]:
        action = policy(state.obs, key)
        then, reached = jax.vmap(lambda s, a: auto_reset_step(env, s, a))(state, action)
        return then, Transition(
            state.obs, action, reached.reward, reached.done, reached.info["truncation"], reached.obs, reached.metrics
        )

    return jax.lax.scan(step, state, jax.random.split(key, steps))
