"""Commands: what an operator may ask of the hand, all brought into the one form that `controller.act` understands.

Each constructor is a pure function of one hand, to be vmapped and jitted with what follows it. `KINDS` names them, for
messages and for `Controller.act(..., kind='tip_positions')`.
"""

import dataclasses
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand


@struct.dataclass
class Command:
    """Where the keypoints should go from where they are, and which of them the operator speaks of."""

    offsets: jax.Array  # (K, 3) m, palm frame
    weight: jax.Array  # (K,) in [0, 1]: how much each keypoint counts
    target: jax.Array  # (n,) rad: the joint targets that do it directly, as is done when the controller is released


def none(hand: Hand, target: jax.Array) -> Command:
    """Asks for nothing: the prior moves the hand. Released, it keeps its joint `target` (n,) [rad]."""
    count = hand.num_keypoints
    # NumPy, so that a host may call it without compiling anything.
    return Command(np.zeros((count, 3), np.float32), np.zeros(count, np.float32), target)


def joints(hand: Hand, q: jax.Array, wanted: jax.Array) -> Command:
    """Asks for the joint positions `wanted` (n,) [rad], from `q` (n,) [rad]; all keypoints count.

    The keypoints' way is that to the nearest joint positions within the limits. Source: arXiv:2502.04307.
    """
    chex.assert_equal_shape([q, wanted])
    reachable = jnp.clip(wanted, jnp.asarray(hand.lower, wanted.dtype), jnp.asarray(hand.upper, wanted.dtype))
    offsets = kinematics.keypoints(hand, reachable) - kinematics.keypoints(hand, q)
    return Command(offsets, jnp.ones(hand.num_keypoints, offsets.dtype), wanted)


def keypoint_offsets(hand: Hand, q: jax.Array, offsets: jax.Array, weight: jax.Array | None = None) -> Command:
    """Asks for `offsets` (K, 3) [m, palm frame] of the keypoints; `weight` (K,), by default one each."""
    weight = jnp.ones(hand.num_keypoints, offsets.dtype) if weight is None else weight
    chex.assert_shape([offsets, weight], [(hand.num_keypoints, 3), (hand.num_keypoints,)])
    goal = kinematics.keypoints(hand, q) + offsets
    return Command(offsets, weight, kinematics.inverse_kinematics(hand, q, goal, weight))


def tip_offsets(hand: Hand, q: jax.Array, offsets: jax.Array) -> Command:
    """Asks for `offsets` (tips, 3) [m, palm frame] of the fingertips; the other keypoints are free."""
    chex.assert_shape(offsets, (hand.num_tips, 3))
    free = hand.num_keypoints - hand.num_tips
    weight = (jnp.arange(hand.num_keypoints) < hand.num_tips).astype(offsets.dtype)
    return keypoint_offsets(hand, q, jnp.pad(offsets, ((0, free), (0, 0))), weight)


def tip_positions(hand: Hand, q: jax.Array, positions: jax.Array) -> Command:
    """Asks for the fingertips at `positions` (tips, 3) [m, palm frame]; the other keypoints are free."""
    chex.assert_shape(positions, (hand.num_tips, 3))
    return tip_offsets(hand, q, positions - kinematics.keypoints(hand, q)[: hand.num_tips])


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way of commanding: its constructor and what it takes."""

    make: Callable[[Hand, jax.Array, jax.Array], Command]
    shape: Callable[[Hand], tuple[int, ...]]
    unit: str


KINDS = {
    "joints": Kind(joints, lambda hand: (hand.num_joints,), "rad"),
    "keypoint_offsets": Kind(keypoint_offsets, lambda hand: (hand.num_keypoints, 3), "m"),
    "tip_offsets": Kind(tip_offsets, lambda hand: (hand.num_tips, 3), "m"),
    "tip_positions": Kind(tip_positions, lambda hand: (hand.num_tips, 3), "m"),
}
