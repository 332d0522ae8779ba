"""Capsules in place of other shapes: fitted to their convex hulls, and no more of them than are needed.

A shape that is about as thick as wide becomes the capsule that its surface is nearest to in the mean square; a plate
becomes a row of capsules as thick as it is, a thin one of thicker ones. Of a body of many shapes, capsules that others
stand in for are left out.
"""

import dataclasses

import mujoco
import numpy as np
from scipy.optimize import least_squares

from dexgen_jax.hand import hulls

_PLATE = 1.5  # times as wide as thick
_THINNEST = 6e-3  # m, the least radius, if a plate is as wide: the row of a sheet of 1 mm would be a hundred slivers
_INSIDE = 3.0  # times that a distance inside of a capsule counts as much as one outside
_SPARED = 4e-3  # m, how much farther out a surface may lie of capsules, or they of it, for there to be fewer or longer


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

    def distance(self, points: np.ndarray) -> np.ndarray:
        """How far points (n, 3) [m] are outside of its surface (n,) [m]; below 0 inside."""
        first, axis = self.ends[0], self.ends[1] - self.ends[0]
        along = np.clip((points - first) @ axis / max(axis @ axis, 1e-12), 0, 1)
        return np.linalg.norm(points - first - along[:, None] * axis, axis=1) - self.radius


def of_geom(model: mujoco.MjModel, geom: int) -> list[Capsule]:
    """The capsules that stand for a geom of a compiled model, in its body; capsules and spheres are kept."""
    kind, size = int(model.geom_type[geom]), model.geom_size[geom]
    if kind in (hulls.SPHERE, hulls.CAPSULE):
        reach = size[1] * (kind == hulls.CAPSULE)
        found = [Capsule(np.array([[0, 0, -reach], [0, 0, reach]]), float(size[0]))]
    else:
        found = of_hull(hulls.corners(model, geom))
    return [Capsule(hulls.in_body(model, geom, capsule.ends), capsule.radius) for capsule in found]


def of_hull(points: np.ndarray) -> list[Capsule]:
    """The capsules for the convex hull of points (n, 3) [m], seen as the box about it along the axes of its frame.

    MuJoCo turns the frame of a mesh to its principal axes.
    """
    low, high = points.min(0), points.max(0)
    row = [capsule.moved(0.5 * (low + high)) for capsule in of_box(0.5 * (high - low))]
    if len(row) == 1:
        return [fitted(row[0], hulls.surface(points))]
    return [trimmed(capsule, hulls.planes(points)) for capsule in row]


def of_box(half: np.ndarray) -> list[Capsule]:
    """The capsules for a box of half sizes (3,) [m] about the origin: as wide as the ellipse in it, and no longer."""
    thin, wide, long = (float(half[i]) for i in np.argsort(half, kind="stable"))
    across, along = (np.eye(3)[i] for i in np.argsort(half, kind="stable")[1:])
    thin = max(thin, min(_THINNEST, wide))
    plate = wide > _PLATE * thin
    radius = thin if plate else (thin * wide) ** 0.5
    reach = max(long - radius, 0.0) * along
    places = np.linspace(-(wide - thin), wide - thin, round(wide / thin) + 1) if plate else [0.0]
    return [Capsule(np.stack([at * across - reach, at * across + reach]), radius) for at in places]


def trimmed(capsule: Capsule, planes: np.ndarray) -> Capsule:
    """Shortened until it stands out of a hull of planes (n, 4), see `hulls.planes`, 4 mm farther than in its middle."""
    middle, way = capsule.ends.mean(0), 0.5 * (capsule.ends[1] - capsule.ends[0])
    out, grows = planes[:, :3] @ middle + planes[:, 3] + capsule.radius, planes[:, :3] @ way
    room = np.maximum(out.max(), 0) + _SPARED - out  # m, how much farther out of each plane the axis may come
    first, last = (
        min(1.0, float((room[sign * grows > 0] / np.abs(grows[sign * grows > 0])).min(initial=1.0))) for sign in (-1, 1)
    )
    return Capsule(np.stack([middle - first * way, middle + last * way]), capsule.radius)


def fitted(first: Capsule, surface: np.ndarray) -> Capsule:
    """The capsule to which a surface, points (n, 3) [m], is nearest in the mean square, sought from `first` on.

    Inside of it a distance counts three times: what stands out is felt where nothing is, an edge is only rounded.
    """
    of = lambda numbers: Capsule(numbers[:6].reshape(2, 3), abs(numbers[6]))

    def away(numbers: np.ndarray) -> np.ndarray:
        distance = of(numbers).distance(surface)
        return np.where(distance < 0, _INSIDE * distance, distance)

    return of(least_squares(away, np.r_[first.ends.reshape(-1), first.radius]).x)


def needed(row: list[Capsule], surface: np.ndarray) -> list[Capsule]:
    """The capsules of a body without those that others stand in for, small ones first.

    No point of the `surface` (n, 3) [m] comes to lie more than 4 mm farther outside than it is of all of them.
    """
    away = np.array([capsule.distance(surface) for capsule in row])
    limit, left = np.maximum(away.min(0), 0) + _SPARED, list(range(len(row)))
    size = [capsule.radius**2 * (capsule.radius + np.linalg.norm(np.diff(capsule.ends, axis=0))) for capsule in row]
    for number in np.argsort(size, kind="stable"):
        others = [other for other in left if other != number]
        if others and (away[others].min(0) <= limit).all():
            left = others
    return [row[number] for number in left]


def box(row: list[Capsule], skin: float) -> dict[str, np.ndarray]:
    """Position and half sizes (3,) [m] of the upright box about capsules, `skin` [m] larger."""
    ends = np.array([capsule.ends for capsule in row])
    radii = np.array([capsule.radius for capsule in row])[:, None, None]
    low, high = (ends - radii).min((0, 1)), (ends + radii).max((0, 1))
    return {"pos": 0.5 * (low + high), "size": 0.5 * (high - low) + skin}
