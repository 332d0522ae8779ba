"""Where grasp search starts: a cupped hand with random joints and an object in it at any rotation."""

import jax
import jax.numpy as jnp

from dexgen_jax.hand import rotation
from dexgen_jax.hand.description import Hand


def cupped(key: jax.Array, hand: Hand) -> jax.Array:
    """Draws one candidate: joints [rad], object position [m], object quaternion, (n + 7,).

    Nothing is guaranteed of it: hand and object may overlap or miss each other, and physics decides (`settle.py`).
    """
    key_joints, key_position, key_rotation = jax.random.split(key, 3)
    prior = hand.prior
    q = prior.joint_mean + prior.joint_std * jax.random.normal(key_joints, (hand.num_joints,))
    position = prior.object_position + prior.object_spread * jax.random.normal(key_position, (3,))
    return jnp.concatenate([jnp.clip(q, hand.lower, hand.upper), position, rotation.random(key_rotation)])
