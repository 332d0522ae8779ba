"""Recording: environments driven by an expert for many control steps become the rows of a dataset.

A controller that has only seen an expert's own states cannot bring a hand back to them. So some streams are disturbed:
at some rows the action gets noise, and what is recorded after that is how the expert recovers. Those rows are marked,
and so the reader can see the recovery as a thing to learn and the disturbance as not.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State

from dexgen_jax.dataset import store
from dexgen_jax.dataset.store import DROP, FIRST, INVALID, PERTURBED, SUCCESS, TRUNCATED
from dexgen_jax.experts import rollout
from dexgen_jax.experts.rollout import Policy


@dataclasses.dataclass(frozen=True)
class BehaviourConfig:
    """How the streams differ: stream i takes the i-th entry of each, round and round."""

    noise: tuple[float, ...] = (0.0, 0.5, 1.0)  # standard deviation of the action's noise, where there is noise
    gain: tuple[float, ...] = (1.0, 1.0, 0.6, 1.0, 1.5)  # factor on the expert's action: slower and faster experts
    noise_share: float = 0.25  # of the rows of a disturbed stream have noise


def record(
    env: Env, policy: Policy, behaviour: BehaviourConfig, key: jax.Array, streams: int, rows: int, mode: int = 0
) -> dict[str, jax.Array]:
    """Runs `streams` environments for `rows` control steps; returns arrays (rows, streams, ...) by column name.

    `policy(obs, key)` acts on the whole batch. Row t holds what was read before the action of row t; joints are in rad.
    An environment whose episode ends goes on from a fresh grasp, which the next row's FIRST flag says.
    """
    key_start, key_steps = jax.random.split(key)
    noise = jnp.asarray(np.resize(behaviour.noise, streams))[:, None]
    gain = jnp.asarray(np.resize(behaviour.gain, streams))[:, None]

    def step(carry: tuple[State, jax.Array], key: jax.Array) -> tuple[tuple[State, jax.Array], dict[str, jax.Array]]:
        state, first = carry
        key_policy, key_noise, key_when = jax.random.split(key, 3)
        shaken = jax.random.bernoulli(key_when, behaviour.noise_share, (streams, 1)) & (noise > 0)
        action = gain * policy(state.obs, key_policy)
        action += jnp.where(shaken, noise * jax.random.normal(key_noise, action.shape), 0.0)
        then, reached = jax.vmap(lambda s, a: rollout.auto_reset_step(env, s, a))(state, action)
        row = _view(env, state) | {
            "mode": jnp.full(streams, mode, jnp.uint8),
            "flags": _flags(first, shaken[:, 0], reached),
        }
        return (then, rollout.ended(reached)), row

    state = rollout.start(env, key_start, streams, env.config.episode_steps)
    return jax.lax.scan(step, (state, jnp.ones(streams, bool)), jax.random.split(key_steps, rows))[1]


def to_columns(recorded: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """Brings what `record` returned to the host as the dataset stores it: (streams, rows, ...), joints as int16."""
    arrays = {name: np.moveaxis(np.asarray(value), 0, 1) for name, value in recorded.items()}
    return arrays | {name: store.quantise(arrays[name]) for name in ("q", "target")}


def _view(env: Env, state: State) -> dict[str, jax.Array]:
    info = state.info
    chex.assert_equal_shape([info["q"], info["target"]])
    return {
        "q": info["q"],
        "target": info["target"],
        **{f"privileged/{name}": info[name] for name in ("object_pose", "gravity", "touch")},
        # A goal is a grasp of the object that is in the hand.
        "privileged/object_index": env.library.object_index[info["goal"]],
    }


def _flags(first: jax.Array, shaken: jax.Array, reached: State) -> jax.Array:
    """The bits (streams,) uint8 of rows that lead to the states `reached`."""
    marks = {
        FIRST: first,
        DROP: reached.done > 0,
        TRUNCATED: reached.info["truncation"] > 0,
        SUCCESS: reached.metrics["success"] > 0,
        INVALID: reached.metrics["blown_up"] > 0,
        PERTURBED: shaken,
    }
    return sum(jnp.where(mark, jnp.uint8(bit), jnp.uint8(0)) for bit, mark in marks.items())
