"""Rotations as unit quaternions in the order w x y z, MuJoCo's and the palm frame's convention.

All functions take one quaternion (4,) or vector (3,), also with leading axes that broadcast.
"""

import jax
import jax.numpy as jnp

IDENTITY = (1.0, 0.0, 0.0, 0.0)


def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the quaternion that rotates by `b` first, then by `a`."""
    aw, ax, ay, az = jnp.moveaxis(a, -1, 0)
    bw, bx, by, bz = jnp.moveaxis(b, -1, 0)
    return jnp.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(quat: jax.Array) -> jax.Array:
    """Returns the inverse rotation of a unit quaternion."""
    return jnp.concatenate([quat[..., :1], -quat[..., 1:]], axis=-1)


def rotate(quat: jax.Array, vector: jax.Array) -> jax.Array:
    """Turns `vector` (..., 3) by `quat` (..., 4)."""
    w, axis = quat[..., :1], quat[..., 1:]
    across = jnp.cross(axis, vector)
    return vector + 2.0 * (w * across + jnp.cross(axis, across))


def from_rotation_vector(vector: jax.Array) -> jax.Array:
    """Exponential map: `vector` (..., 3) [rad], its direction the axis and its length the angle."""
    squared = jnp.sum(vector * vector, axis=-1, keepdims=True)
    small = squared < 1e-12
    # The double `where` keeps the gradient at zero finite: sqrt never sees 0.
    angle = jnp.sqrt(jnp.where(small, 1.0, squared))
    scale = jnp.where(small, 0.5 - squared / 48.0, jnp.sin(0.5 * angle) / angle)
    w = jnp.where(small, 1.0 - squared / 8.0, jnp.cos(0.5 * angle))
    return jnp.concatenate([w, scale * vector], axis=-1)


def to_rotation_vector(quat: jax.Array) -> jax.Array:
    """Logarithm: the shortest rotation vector (..., 3) [rad] of `quat`; length in [0, pi]."""
    quat = jnp.where(quat[..., :1] < 0, -quat, quat)
    w, axis = quat[..., :1], quat[..., 1:]
    squared = jnp.sum(axis * axis, axis=-1, keepdims=True)
    small = squared < 1e-12
    sine = jnp.sqrt(jnp.where(small, 1.0, squared))
    scale = jnp.where(small, 2.0, 2.0 * jnp.arctan2(sine, w) / sine)
    return scale * axis


def angle_between(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the angle (...,) [rad], in [0, pi], of the rotation from `a` to `b`."""
    return jnp.linalg.norm(to_rotation_vector(multiply(conjugate(a), b)), axis=-1)


def random(key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """Draws rotations (*shape, 4) uniformly: normalised Gaussians cover the 3-sphere evenly."""
    quat = jax.random.normal(key, (*shape, 4))
    return quat / jnp.linalg.norm(quat, axis=-1, keepdims=True)
