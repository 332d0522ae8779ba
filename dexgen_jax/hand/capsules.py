"""Capsules in place of other shapes: of about the same cross-section, and no longer.

A shape is seen as the box about it along its own axes (MuJoCo turns a mesh to its principal ones). A box that is about
as thick as wide becomes one capsule along it, of the cross-section of the ellipse in it; a plate becomes a row of
capsules as thick as it is.
"""

import dataclasses

import mujoco
import numpy as np

_SPHERE, _CAPSULE, _ELLIPSOID, _CYLINDER, _BOX, _MESH = KINDS = tuple(
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in "SPHERE CAPSULE ELLIPSOID CYLINDER BOX MESH".split()
)
_PLATE = 1.5  # times as wide as thick


@dataclasses.dataclass(frozen=True, eq=False)
class Capsule:
    """A capsule in the frame of its body; a sphere if both ends are one."""

    ends: np.ndarray  # (2, 3) m
    radius: float  # m

    def moved(self, way: np.ndarray) -> "Capsule":
        """Shifted by `way` (3,) [m]."""
        return Capsule(self.ends + way, self.radius)

    def seen_from(self, turn: np.ndarray, origin: np.ndarray) -> "Capsule":
        """In a frame that begins at `origin` (3,) [m] of this one and into which the quaternion `turn` turns it."""
        ends = np.zeros((2, 3))
        for row, end in zip(ends, self.ends, strict=True):
            mujoco.mju_rotVecQuat(row, end - origin, turn)
        return Capsule(ends, self.radius)


def of_geom(model: mujoco.MjModel, geom: int) -> list[Capsule]:
    """The capsules that stand for a geom of a compiled model; capsules and spheres are kept as they are."""
    kind, size = int(model.geom_type[geom]), model.geom_size[geom]
    middle = np.zeros(3)
    if kind == _SPHERE:
        found = [Capsule(np.zeros((2, 3)), float(size[0]))]
    elif kind == _CAPSULE:
        found = [Capsule(np.array([[0, 0, -size[1]], [0, 0, size[1]]]), float(size[0]))]
    else:
        half = np.array([size[0], size[0], size[1]]) if kind == _CYLINDER else size
        if kind == _MESH:
            mesh = model.geom_dataid[geom]
            first = model.mesh_vertadr[mesh]
            points = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
            middle, half = 0.5 * (points.max(0) + points.min(0)), 0.5 * (points.max(0) - points.min(0))
        found = [capsule.moved(middle) for capsule in of_box(half)]
    return [_in_body(capsule, model.geom_pos[geom], model.geom_quat[geom]) for capsule in found]


def of_box(half: np.ndarray) -> list[Capsule]:
    """The capsules for a box of half sizes (3,) [m] about the origin."""
    thin, wide, long = (float(half[i]) for i in np.argsort(half, kind="stable"))
    across, along = (np.eye(3)[i] for i in np.argsort(half, kind="stable")[1:])
    plate = wide > _PLATE * thin
    radius = thin if plate else (thin * wide) ** 0.5
    reach = max(long - radius, 0.0) * along
    places = np.linspace(-(wide - thin), wide - thin, round(wide / thin) + 1) if plate else [0.0]
    return [Capsule(np.stack([at * across - reach, at * across + reach]), radius) for at in places]


def box(row: list[Capsule], skin: float) -> dict[str, np.ndarray]:
    """Position and half sizes (3,) [m] of the upright box about capsules, `skin` [m] larger."""
    ends = np.array([capsule.ends for capsule in row])
    radii = np.array([capsule.radius for capsule in row])[:, None, None]
    low, high = (ends - radii).min((0, 1)), (ends + radii).max((0, 1))
    return {"pos": 0.5 * (low + high), "size": 0.5 * (high - low) + skin}


def _in_body(capsule: Capsule, position: np.ndarray, quat: np.ndarray) -> Capsule:
    ends = np.zeros((2, 3))
    for row, end in zip(ends, capsule.ends, strict=True):
        mujoco.mju_rotVecQuat(row, end, quat)
    return Capsule(ends + position, capsule.radius)
