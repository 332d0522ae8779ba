"""Where grasp search starts: a cupped hand with random joints and an object in it at any rotation.

It finds grasps of the whole hand, where palm and inner links hold the object; fingertips are the matter of
`contacts.py`.
"""

import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax.hand import rotation
from dexgen_jax.hand.description import Hand

CLOSING = (0.4, 1.0)  # rad, how far a cupped hand closes past its random joints


@struct.dataclass
class Candidate:
    """What may become a grasp. Nothing is guaranteed of it: physics decides (`settle.py`)."""

    qpos: jax.Array  # (n + 7,) joints [rad], object position [m] and quaternion w x y z, palm frame
    goal: jax.Array  # (n,) rad, where the fingers are sent to close
    passed: jax.Array  # () int32, how many of its maker's geometric checks it has passed
    merit: jax.Array  # () its maker's word on which of several sound candidates to try first


def cupped(key: jax.Array, hand: Hand, spread: float = 1.0) -> jax.Array:
    """Draws joints [rad], object position [m] and quaternion (n + 7,) about the hand's prior, `spread` times as wide.

    Hand and object may overlap or miss each other.
    """
    key_joints, key_position, key_rotation = jax.random.split(key, 3)
    prior = hand.prior
    q = prior.joint_mean + spread * prior.joint_std * jax.random.normal(key_joints, (hand.num_joints,))
    position = prior.object_position + spread * prior.object_spread * jax.random.normal(key_position, (3,))
    return jnp.concatenate([jnp.clip(q, hand.lower, hand.upper), position, rotation.random(key_rotation)])


def cup(key: jax.Array, hand: Hand) -> Candidate:
    """Draws a cupped hand that closes by a random amount."""
    key_start, key_closing = jax.random.split(key)
    qpos = cupped(key_start, hand)
    far = jax.random.uniform(key_closing, minval=CLOSING[0], maxval=CLOSING[1])
    goal = jnp.clip(qpos[: hand.num_joints] + far * hand.prior.closing, hand.lower, hand.upper)
    return Candidate(qpos, goal, passed=jnp.zeros((), jnp.int32), merit=jnp.zeros(()))
