"""How much of the space of object positions and rotations a set of grasps reaches."""

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.grasps import metric
from dexgen_jax.hand import rotation

# About the tolerance of a goal. In much finer cells a thousand grasps lie in a cell each, and nothing is measured.
POSITION_CELL = 0.02  # m
ROTATION_CELL = 0.8  # rad, of the rotation vector


def cells(object_pose: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Returns the cell of each pose (N, 7), (N, 6) int: three of position and three of rotation.

    Poses that look alike, `group` (G, R, 4) being the object's symmetry group, lie in one cell.
    """
    vector = np.asarray(_vectors(jnp.asarray(object_pose[:, 3:], jnp.float32), jnp.asarray(group)))
    scaled = np.concatenate([object_pose[:, :3] / POSITION_CELL, vector / ROTATION_CELL], axis=1)
    return np.round(scaled).astype(int)


@jax.jit
def _vectors(quats: jax.Array, group: jax.Array) -> jax.Array:
    """The least rotation vector (N, 3) of what looks like each quaternion (N, 4)."""
    upright = jnp.asarray(rotation.IDENTITY)
    seen = jax.vmap(lambda quat: metric.nearest_turn(upright, quat, group))(quats)
    return rotation.to_rotation_vector(seen)


def count(object_pose: np.ndarray, group: np.ndarray) -> int:
    """How many different cells the poses (N, 7) lie in."""
    return len(np.unique(cells(object_pose, group), axis=0))
