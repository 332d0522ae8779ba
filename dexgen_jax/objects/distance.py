"""How far points are from an object: negative inside, so that overlap can be measured without a simulator."""

import jax
import jax.numpy as jnp

from dexgen_jax.hand import rotation
from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import ObjectParams


def signed_distance(params: ObjectParams, points: jax.Array) -> jax.Array:
    """Returns the distance (N,) [m] of `points` (N, 3) [m, object frame] from the object's surface, negative inside.

    Exact for one sphere, capsule, cylinder or box and outside a union of them; inside a union it is the distance to the
    surface of the part, and around an ellipsoid it is exact to first order at the surface.
    """
    per_slot = jax.vmap(_of_slot, in_axes=(0, 0, 0, 0, None))
    distance = per_slot(params.kind, params.size, params.position, params.quat, points)
    return jnp.min(jnp.where(params.on[:, None], distance, jnp.inf), axis=0)


def _of_slot(kind: jax.Array, size: jax.Array, position: jax.Array, quat: jax.Array, points: jax.Array) -> jax.Array:
    local = rotation.rotate(rotation.conjugate(quat)[None], points - position[None])
    formulas = {
        shapes.SPHERE: _sphere,
        shapes.CAPSULE: _capsule,
        shapes.ELLIPSOID: _ellipsoid,
        shapes.CYLINDER: _cylinder,
        shapes.BOX: _box,
    }
    return jnp.select([kind == k for k in formulas], [formula(local, size) for formula in formulas.values()])


def _sphere(points: jax.Array, size: jax.Array) -> jax.Array:
    return jnp.linalg.norm(points, axis=-1) - size[0]


def _capsule(points: jax.Array, size: jax.Array) -> jax.Array:
    beyond = points[:, 2] - jnp.clip(points[:, 2], -size[1], size[1])
    return jnp.sqrt(points[:, 0] ** 2 + points[:, 1] ** 2 + beyond**2) - size[0]


def _ellipsoid(points: jax.Array, size: jax.Array) -> jax.Array:
    level = jnp.linalg.norm(points / size[None], axis=-1)
    slope = jnp.linalg.norm(points / size[None] ** 2, axis=-1)
    # At the centre level and slope vanish together; the nearest surface is the smallest radius away.
    return jnp.where(slope > 0, level * (level - 1.0) / jnp.where(slope > 0, slope, 1.0), -jnp.min(size))


def _cylinder(points: jax.Array, size: jax.Array) -> jax.Array:
    radial = jnp.linalg.norm(points[:, :2], axis=-1) - size[0]
    return _corner(jnp.stack([radial, jnp.abs(points[:, 2]) - size[1]], axis=-1))


def _box(points: jax.Array, size: jax.Array) -> jax.Array:
    return _corner(jnp.abs(points) - size[None])


def _corner(beyond: jax.Array) -> jax.Array:
    """Distance where independent directions are exceeded by `beyond` (N, d)."""
    return jnp.linalg.norm(jnp.maximum(beyond, 0.0), axis=-1) + jnp.minimum(jnp.max(beyond, axis=-1), 0.0)
