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
    upright = jnp.asarray(rotation.IDENTITY)
    seen = jax.vmap(lambda quat: metric.nearest_turn(upright, quat, group))(
        jnp.asarray(object_pose[:, 3:], jnp.float32)
    )
    vector = np.asarray(rotation.to_rotation_vector(seen))
    scaled = np.concatenate([object_pose[:, :3] / POSITION_CELL, vector / ROTATION_CELL], axis=1)
    return np.round(scaled).astype(int)


def count(object_pose: np.ndarray, group: np.ndarray) -> int:
    """How many different cells the poses (N, 7) lie in."""
    return len(np.unique(cells(object_pose, group), axis=0))
