"""How deep a hand sinks into an object, from geometry alone: a link inside the object holds it without grasping it."""

import jax
import jax.numpy as jnp

from dexgen_jax.hand import kinematics, rotation
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.distance import signed_distance
from dexgen_jax.objects.shapes import ObjectParams

_SAMPLES = 9  # points along a capsule's axis; the links are at most 54 mm long, so they lie at most 7 mm apart


def depth(hand: Hand, q: jax.Array, params: ObjectParams, object_pose: jax.Array) -> jax.Array:
    """Returns the deepest overlap () [m] of any of the hand's capsules with the object; negative where all are clear.

    `q` (n,) [rad], `object_pose` (7,) [m and quaternion, palm frame]. Deeper is never missed by more than half the
    spacing of the samples, and where a capsule lies flat on a face, not at all.
    """
    start, end = jnp.moveaxis(kinematics.capsule_ends(hand, q), 1, 0)
    share = jnp.linspace(0.0, 1.0, _SAMPLES)[:, None, None]
    points = start[None] + share * (end - start)[None]
    away = rotation.conjugate(object_pose[3:])
    local = rotation.rotate(away[None], points.reshape(-1, 3) - object_pose[None, :3])
    distance = signed_distance(params, local).reshape(_SAMPLES, -1)
    return jnp.max(jnp.asarray(hand.chain.capsule_radius, q.dtype)[None] - distance)
