"""Points on the shapes of a maker's model: what capsules are fitted to, and what their departure is measured at.

MuJoCo collides the convex hull of a mesh, so every shape here is the hull of some points.
"""

import mujoco
import numpy as np
from scipy.spatial import ConvexHull

SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX, MESH = KINDS = tuple(
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in "SPHERE CAPSULE ELLIPSOID CYLINDER BOX MESH".split()
)
SPACING = 2e-3  # m, about how far apart points on a surface are
_MOST = 20_000  # points on one surface


def corners(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Points (n, 3) [m, in the geom's frame] whose convex hull is the geom; a round one's lie close together on it."""
    kind, size = int(model.geom_type[geom]), model.geom_size[geom]
    if kind == MESH:
        mesh = model.geom_dataid[geom]
        first = model.mesh_vertadr[mesh]
        return model.mesh_vert[first : first + model.mesh_vertnum[mesh]].astype(float)
    if kind == BOX:
        return size * np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    if kind == CYLINDER:
        turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        rim = size[0] * np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=-1)
        return np.concatenate([rim + [0, 0, size[1]], rim - [0, 0, size[1]]])
    if kind == CAPSULE:
        ball = size[0] * directions(500)
        return np.concatenate([ball + [0, 0, size[1]], ball - [0, 0, size[1]]])
    return (size if kind == ELLIPSOID else size[0]) * directions(500)


def surface(points: np.ndarray, spacing: float = SPACING) -> np.ndarray:
    """Points (m, 3) spread at random, the same ones each time, over the convex hull of `points` (n, 3) [m]."""
    triangles = points[ConvexHull(points).simplices]
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = 0.5 * np.linalg.norm(np.cross(first, second), axis=1)
    count = int(np.clip(area.sum() / spacing**2, 50, _MOST))
    draw = np.random.default_rng(0)
    at = draw.choice(len(area), count, p=area / area.sum())
    share = np.sort(draw.random((count, 2)))  # of a triangle's two sides, evenly: both gaps of two sorted numbers
    return triangles[at, 0] + share[:, :1] * first[at] + (share[:, 1:] - share[:, :1]) * second[at]


def planes(points: np.ndarray) -> np.ndarray:
    """The faces (n, 4) of the convex hull of points: a normal that points out, and minus its distance [m] from zero."""
    return ConvexHull(points).equations


def in_body(model: mujoco.MjModel, geom: int, points: np.ndarray) -> np.ndarray:
    """Points (n, 3) [m] of a geom's frame in that of its body."""
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
    return points @ turn.reshape(3, 3).T + model.geom_pos[geom]


def directions(count: int) -> np.ndarray:
    """Unit vectors (count, 3), spread evenly: a Fibonacci spiral."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=-1)
