"""Triangles of the hand and of the objects, from their descriptions: what a browser draws.

A mesh is vertices (V, 3) [m] and faces (F, 3), counter-clockwise seen from outside. Round shapes share their vertices,
so that they are shaded smoothly; flat faces have their own.
"""

import dataclasses

import numpy as np
from scipy.spatial import ConvexHull

from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import ObjectParams

_AROUND = 32  # vertices of a circle; a multiple of 4, so that octants end at edges


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Vertices [m] and the faces between them."""

    vertices: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3) int

    def placed(self, position: np.ndarray, quat: np.ndarray) -> "Mesh":
        """The mesh turned by `quat` (4,) and moved to `position` (3,) [m]."""
        return Mesh(self.vertices @ shapes.rotation_matrix(quat).T + np.asarray(position), self.faces)

    def only(self, chosen: np.ndarray) -> "Mesh":
        """The faces of a mask (F,), with the vertices they need."""
        used, faces = np.unique(self.faces[chosen], return_inverse=True)
        return Mesh(self.vertices[used], faces.reshape(-1, 3))

    @property
    def volume(self) -> float:
        """Of a closed mesh [m3]; positive if its faces look outward."""
        a, b, c = np.moveaxis(self.vertices[self.faces], 1, 0)
        return float(np.sum(a * np.cross(b, c)) / 6)


def join(meshes: list[Mesh]) -> Mesh:
    """One mesh of all of them."""
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, first[:-1], strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def capsule(radius: float, half: float) -> Mesh:
    """A capsule along z, `half` its straight part's half length; 0 makes it a ball."""
    rise = np.linspace(-np.pi / 2, np.pi / 2, _AROUND // 2 + 1)
    below, above = rise[: _AROUND // 4 + 1], rise[_AROUND // 4 :]
    rings = np.concatenate([below, above]) if half else rise
    shift = np.repeat([-half, half], [len(below), len(above)]) if half else np.zeros(len(rise))
    return _turned(radius * np.cos(rings), radius * np.sin(rings) + shift)


def cylinder(radius: float, half: float) -> Mesh:
    """A cylinder along z of half length `half`: its sides, and two lids with vertices of their own."""
    side = _turned(np.full(3, radius), np.array([-half, 0, half]))
    lids = [_turned(np.array([0, radius]), np.full(2, -half)), _turned(np.array([radius, 0]), np.full(2, half))]
    return join([side, *lids])


def ellipsoid(radii: np.ndarray) -> Mesh:
    """An ellipsoid of three radii."""
    ball = capsule(1.0, 0.0)
    return Mesh(ball.vertices * np.asarray(radii), ball.faces)


def box(half: np.ndarray) -> Mesh:
    """A box of three half sides; each side is four tiles."""
    tiles = []
    for axis in range(3):
        for sign in (-1, 1):
            u, v = np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij")
            points = np.zeros((9, 3))
            points[:, axis] = sign
            points[:, (axis + 1) % 3], points[:, (axis + 2) % 3] = u.ravel(), v.ravel()
            tiles.append(Mesh(points * np.asarray(half), _grid(3, 3, flip=sign < 0)))
    return join(tiles)


def object_parts(thing: ObjectParams) -> tuple[Mesh, Mesh]:
    """The object in its own frame, as two meshes: every other octant of each part, or a turning ball would not be seen
    to turn."""
    halves: tuple[list[Mesh], list[Mesh]] = ([], [])
    for i in np.flatnonzero(thing.on):
        part = _primitive(int(thing.kind[i]), thing.size[i])
        middle = part.vertices[part.faces].mean(1)
        dark = np.prod(np.sign(middle), axis=1) < 0
        for half, chosen in zip(halves, (~dark, dark), strict=True):
            half.append(part.only(chosen).placed(thing.position[i], thing.quat[i]))
    return join(halves[0]), join(halves[1])


def hand_bodies(hand: Hand) -> list[Mesh | None]:
    """The mesh of each body of the hand in the body's frame, None for a body without shape.

    The palm is the hull of its capsules; what collides are the capsules themselves.
    """
    chain = hand.chain
    bodies: list[Mesh | None] = []
    for body in range(len(chain.parent)):
        mine = np.flatnonzero(chain.capsule_body == body)
        own = [_between(*chain.capsule_ends[i], chain.capsule_radius[i]) for i in mine]
        bodies.append(None if not own else own[0] if len(own) == 1 else hull(join(own).vertices))
    return bodies


def hull(points: np.ndarray) -> Mesh:
    """The convex hull of points (N, 3), its faces turned outward."""
    found = ConvexHull(points)
    used, faces = np.unique(found.simplices, return_inverse=True)
    mesh = Mesh(points[used], faces.reshape(-1, 3))
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    inward = np.sum(np.cross(b - a, c - a) * found.equations[:, :3], axis=1) < 0
    mesh.faces[inward] = mesh.faces[inward][:, ::-1]
    return mesh


def _primitive(kind: int, size: np.ndarray) -> Mesh:
    size = np.asarray(size, float)
    makers = {
        shapes.SPHERE: lambda: capsule(size[0], 0.0),
        shapes.CAPSULE: lambda: capsule(size[0], size[1]),
        shapes.CYLINDER: lambda: cylinder(size[0], size[1]),
        shapes.ELLIPSOID: lambda: ellipsoid(size),
        shapes.BOX: lambda: box(size),
    }
    return makers[kind]()


def _between(start: np.ndarray, end: np.ndarray, radius: float) -> Mesh:
    """A capsule whose axis goes from `start` to `end` (3,) [m]."""
    way = end - start
    length = np.linalg.norm(way)
    x, y, z = way / length if length else (0.0, 0.0, 1.0)
    quat = np.array([1 + z, -y, x, 0.0]) if z > -0.999999 else np.array([0.0, 1.0, 0.0, 0.0])  # from +z to the way
    return capsule(radius, length / 2).placed((start + end) / 2, quat / np.linalg.norm(quat))


def _turned(radius: np.ndarray, height: np.ndarray) -> Mesh:
    """A surface of revolution about z through points (`radius`, `height`), from below to above."""
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(_AROUND)], axis=1)
    vertices = radius[:, None, None] * circle + height[:, None, None] * np.array([0, 0, 1.0])
    ring = np.arange(_AROUND)
    start = _AROUND * np.arange(len(radius) - 1)[:, None]
    a, b = start + ring, start + (ring + 1) % _AROUND
    upper = [np.stack([a, b, b + _AROUND], -1)] + [np.stack([a, b + _AROUND, a + _AROUND], -1)]
    mesh = Mesh(vertices.reshape(-1, 3), np.concatenate(upper, axis=1).reshape(-1, 3))
    corners = mesh.vertices[mesh.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return mesh.only(area > 1e-12)  # at the poles, a ring is a point


def _grid(rows: int, columns: int, flip: bool) -> np.ndarray:
    """The faces of a grid of vertices."""
    a = (columns * np.arange(rows - 1)[:, None] + np.arange(columns - 1)).ravel()
    faces = np.concatenate([np.stack([a, a + columns, a + columns + 1], 1), np.stack([a, a + columns + 1, a + 1], 1)])
    return faces[:, ::-1] if flip else faces
