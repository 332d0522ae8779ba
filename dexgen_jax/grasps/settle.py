"""Physics has the last word: the hand closes on the object, and only what holds under gravity from all sides is kept.

Grasps made from geometry alone eject the object at reset or cannot be reached as goals (TeleDexter, 2026, found the
same); here every stored grasp has been held in simulation, together with the joint targets that hold it.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax.grasps import overlap
from dexgen_jax.hand import rotation
from dexgen_jax.physics.engine import Engine, PhysicsState
from dexgen_jax.physics.world import STANDARD_GRAVITY, World


@dataclasses.dataclass(frozen=True)
class SettleConfig:
    """How a candidate is closed and what it must survive. Times in control steps of 0.1 s."""

    closing: tuple[float, float] = (0.4, 1.0)  # rad, range of how far the fingers close past the candidate's joints
    closing_steps: int = 8  # steps over which the targets move
    rest_steps: int = 4  # steps the closed hand then rests, still without gravity
    squeeze: float = 0.3  # rad, largest target minus position kept: it is what presses
    hold_steps: int = 5  # steps under each of the six gravity directions
    max_shift: float = 0.015  # m, largest movement of the object under any of them
    max_turn: float = 0.4  # rad
    min_parts: int = 2  # parts of the hand that must press on the object
    max_depth: float = 0.008  # m the hand may sink into the object: soft contacts give 3-6 mm, an impaling link more


@struct.dataclass
class Settled:
    """A closed candidate and the verdict on it."""

    q: jax.Array  # (n,) rad
    target: jax.Array  # (n,) rad, the targets that hold it
    object_pose: jax.Array  # (7,) m and quaternion w x y z, palm frame
    shift: jax.Array  # () m, under the worst gravity direction
    turn: jax.Array  # () rad
    parts: jax.Array  # () int32, parts of the hand that touch something
    depth: jax.Array  # () m, how deep the hand sinks into the object
    accepted: jax.Array  # () bool


def settle(key: jax.Array, engine: Engine, world: World, candidate: jax.Array, config: SettleConfig) -> Settled:
    """Closes the hand on one candidate (n + 7,) and tests it under gravity from six sides; vmap to batch."""
    hand = engine.hand
    weightless = world.replace(gravity=jnp.zeros(3))
    closed, goal = _close(key, engine, weightless, candidate, config)
    q = closed.joints(hand)
    target = q + jnp.clip(goal - q, -config.squeeze, config.squeeze)
    rest = _hold(engine, engine.init(closed.qpos), target, weightless, config.rest_steps)
    start = rest.object_pose(hand)

    def fall(direction: jax.Array) -> tuple[jax.Array, jax.Array]:
        pulled = world.replace(gravity=STANDARD_GRAVITY * direction)
        end = _hold(engine, rest, target, pulled, config.hold_steps).object_pose(hand)
        return jnp.linalg.norm(end[:3] - start[:3]), rotation.angle_between(end[3:], start[3:])

    sides = jnp.concatenate([jnp.eye(3), -jnp.eye(3)])
    shift, turn = jax.tree.map(jnp.max, jax.vmap(fall)(sides))
    parts, depth = jnp.sum(rest.touch > 1e-3), overlap.depth(hand, rest.joints(hand), world.object, start)
    # A simulation that blew up gives NaN, and every comparison with NaN is False.
    good = (shift < config.max_shift) & (turn < config.max_turn) & (parts >= config.min_parts) & rest.finite
    good &= depth < config.max_depth
    return Settled(rest.joints(hand), target, start, shift, turn, parts, depth, good)


def _close(
    key: jax.Array, engine: Engine, world: World, candidate: jax.Array, config: SettleConfig
) -> tuple[PhysicsState, jax.Array]:
    """Returns the simulation after closing and the joint targets (n,) the fingers were sent to."""
    hand = engine.hand
    q = candidate[: hand.num_joints]
    far = jax.random.uniform(key, minval=config.closing[0], maxval=config.closing[1])
    goal = jnp.clip(q + far * hand.prior.closing, hand.lower, hand.upper)
    ramp = jnp.minimum(jnp.arange(1, config.closing_steps + config.rest_steps + 1) / config.closing_steps, 1.0)

    def advance(state: PhysicsState, share: jax.Array) -> tuple[PhysicsState, None]:
        return engine.step(state, q + share * (goal - q), world), None

    return jax.lax.scan(advance, engine.init(candidate), ramp)[0], goal


def _hold(engine: Engine, state: PhysicsState, target: jax.Array, world: World, steps: int) -> PhysicsState:
    return jax.lax.scan(lambda s, _: (engine.step(s, target, world), None), state, None, length=steps)[0]
