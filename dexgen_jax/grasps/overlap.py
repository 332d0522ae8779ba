"""Where a hand touches an object and how deep it sinks in, from geometry alone.

A link inside the object holds it without grasping it, so depth is checked; what touches tells a grasp of the whole
hand from one of the fingertips.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.hand import kinematics, rotation
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.distance import signed_distance
from dexgen_jax.objects.shapes import ObjectParams

_APART = 7e-3  # m, at most, between the samples along a capsule's axis
_SAMPLES = 9  # at least, along every axis
_NEAR = 5e-4  # m of air that still counts as touching: an edge between two samples looks that much further away


def depths(hand: Hand, q: jax.Array, params: ObjectParams, object_pose: jax.Array) -> jax.Array:
    """Returns how deep each of the hand's capsules overlaps the object (capsules,) [m]; negative where it is clear.

    `q` (n,) [rad], `object_pose` (7,) [m and quaternion, palm frame]. Deeper is never missed by more than half the
    spacing of the samples, and where a capsule lies flat on a face, not at all.
    """
    start, end = jnp.moveaxis(kinematics.capsule_ends(hand, q), 1, 0)
    samples = _count_samples(hand)
    share = jnp.linspace(0.0, 1.0, samples)[:, None, None]
    points = start[None] + share * (end - start)[None]
    away = rotation.conjugate(object_pose[3:])
    local = rotation.rotate(away[None], points.reshape(-1, 3) - object_pose[None, :3])
    distance = signed_distance(params, local).reshape(samples, -1)
    return jnp.asarray(hand.chain.capsule_radius, q.dtype) - jnp.min(distance, axis=0)


def _count_samples(hand: Hand) -> int:
    """Samples along every capsule's axis, so that those of the longest lie near enough."""
    longest = np.linalg.norm(np.diff(hand.chain.capsule_ends, axis=1), axis=-1).max()
    return max(_SAMPLES, 1 + math.ceil(longest / _APART - 1e-6))  # less what rounding adds


def depth(hand: Hand, q: jax.Array, params: ObjectParams, object_pose: jax.Array) -> jax.Array:
    """Returns the deepest overlap () [m] of any of the hand's capsules with the object; negative if all are clear."""
    return jnp.max(depths(hand, q, params, object_pose))


def touching(depths: jax.Array) -> jax.Array:
    """Tells which capsules of these `depths` (capsules,) [m] touch the object, (capsules,) bool."""
    return depths > -_NEAR


def count_parts(hand: Hand, touches: jax.Array) -> jax.Array:
    """Returns how many links, the palm being one, have a capsule that touches (capsules,); () int32."""
    bodies = hand.chain.capsule_body
    owns = bodies[None] == np.unique(bodies)[:, None]
    return jnp.sum(jnp.any(owns & touches[None], axis=1))


def is_tip(hand: Hand) -> np.ndarray:
    """Tells which capsules belong to a finger's last link, (capsules,) bool: precision grasps touch with no other."""
    return np.isin(hand.chain.capsule_body, hand.chain.keypoint_body[: hand.num_tips])
