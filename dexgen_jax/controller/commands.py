"""Commands: what an operator may ask of the hand, all brought into the one form that `controller.act` understands.

A command is a wish to move, and is measured from the joint targets in force, never from the reading: in a grasp the
targets stand inside the object, and target - q is what squeezes. "Keep everything as it is" must be a way of zero.
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

from dexgen_jax.controller.fields import array
from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand


@struct.dataclass
class Command:
    """How the keypoints should move, and which of them the operator speaks of."""

    offsets: jax.Array = array("keypoints 3", "way that the keypoints are asked to go [m, palm frame]")
    weight: jax.Array = array("keypoints", "how much each of them counts, 0 to 1")
    target: jax.Array = array("joints", "the joint targets that do it directly, as when released [rad]")


def none(hand: Hand, target: jax.Array) -> Command:
    """Asks for nothing: the prior moves the hand. Released, it keeps its joint `target` (n,) [rad]."""
    count = hand.num_keypoints
    # NumPy, so that a host may call it without compiling anything.
    return Command(np.zeros((count, 3), np.float32), np.zeros(count, np.float32), target)


def joints(hand: Hand, target: jax.Array, wanted: jax.Array) -> Command:
    """Asks for the joint targets `wanted` (n,) [rad] in place of `target` (n,) [rad], in force; all keypoints count.

    The keypoints' way is that from target to target, both within the limits: FK(wanted) - FK(target). The paper
    (arXiv:2502.04307) does not say what it measures from; from the reading, a grasp's squeeze would be read as a wish.
    """
    chex.assert_equal_shape([target, wanted])
    lower, upper = (jnp.asarray(limit, wanted.dtype) for limit in (hand.lower, hand.upper))
    before, after = (kinematics.keypoints(hand, jnp.clip(joints, lower, upper)) for joints in (target, wanted))
    offsets = after - before
    return Command(offsets, jnp.ones(hand.num_keypoints, offsets.dtype), wanted)


def joint_offsets(hand: Hand, target: jax.Array, change: jax.Array) -> Command:
    """Asks for the joint targets in force, `target` (n,) [rad], to move by `change` (n,) [rad]; all keypoints count.

    A joystick's or a policy's velocity is this, times the seconds of a tick.
    """
    return joints(hand, target, target + change)


def keypoint_offsets(hand: Hand, target: jax.Array, offsets: jax.Array, weight: jax.Array | None = None) -> Command:
    """Asks the keypoints to move by `offsets` (K, 3) [m, palm frame], from wherever they are; `weight` (K,), default 1.

    `target` (n,) [rad], in force, is where inverse kinematics starts to find the joint targets that do it.
    """
    weight = jnp.ones(hand.num_keypoints, offsets.dtype) if weight is None else weight
    chex.assert_shape([offsets, weight], [(hand.num_keypoints, 3), (hand.num_keypoints,)])
    goal = kinematics.keypoints(hand, target) + offsets
    return Command(offsets, weight, kinematics.inverse_kinematics(hand, target, goal, weight))


def tip_offsets(hand: Hand, target: jax.Array, offsets: jax.Array) -> Command:
    """Asks the fingertips to move by `offsets` (tips, 3) [m, palm frame]; the other keypoints are free."""
    chex.assert_shape(offsets, (hand.num_tips, 3))
    free = hand.num_keypoints - hand.num_tips
    weight = (jnp.arange(hand.num_keypoints) < hand.num_tips).astype(offsets.dtype)
    return keypoint_offsets(hand, target, jnp.pad(offsets, ((0, free), (0, 0))), weight)


def tip_positions(hand: Hand, target: jax.Array, positions: jax.Array) -> Command:
    """Asks for the fingertips at `positions` (tips, 3) [m, palm frame]; the other keypoints are free.

    Measured from where the tips were last told to be, FK(target): who repeats a position asks for nothing.
    """
    chex.assert_shape(positions, (hand.num_tips, 3))
    return tip_offsets(hand, target, positions - kinematics.keypoints(hand, target)[: hand.num_tips])


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way of commanding: its constructor and what it takes."""

    make: Callable[[Hand, jax.Array, jax.Array], Command]  # hand, joint targets in force (n,) [rad], what is asked
    shape: Callable[[Hand], tuple[int, ...]]
    unit: str
    measured_from: str


KINDS = {
    "joints": Kind(joints, lambda hand: (hand.num_joints,), "rad", "the joint targets in force"),
    "joint_offsets": Kind(joint_offsets, lambda hand: (hand.num_joints,), "rad", "the joint targets in force"),
    "keypoint_offsets": Kind(keypoint_offsets, lambda hand: (hand.num_keypoints, 3), "m", "a wish to move"),
    "tip_offsets": Kind(tip_offsets, lambda hand: (hand.num_tips, 3), "m", "a wish to move"),
    "tip_positions": Kind(tip_positions, lambda hand: (hand.num_tips, 3), "m", "the palm's origin"),
}
