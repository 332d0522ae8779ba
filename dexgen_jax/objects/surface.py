"""Points on the outer surface of an object, uniform by area, with the normals a finger would meet."""

import numpy as np

from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import ObjectParams

_STEP = 1e-5  # m, a step off the surface: where it leads tells what lies on its two sides
_BATCH = 4096


def sample(params: ObjectParams, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws points (count, 3) [m, object frame] on the outer surface and their outward unit normals (count, 3).

    Parts are drawn by their area and what lies inside another part is drawn again, so density is uniform over what
    can be touched, whatever overlaps inside.
    """
    on = np.flatnonzero(params.on)
    area = np.array([_area(int(params.kind[i]), params.size[i].astype(float)) for i in on])
    points, normals = np.zeros((0, 3)), np.zeros((0, 3))
    while len(points) < count:
        slots = on[rng.choice(len(on), _BATCH, p=area / area.sum())]
        point, normal = np.zeros((_BATCH, 3)), np.zeros((_BATCH, 3))
        for i in on:
            mine = slots == i
            local_point, local_normal = _DRAW[int(params.kind[i])](rng, params.size[i].astype(float), int(mine.sum()))
            turn = shapes.rotation_matrix(params.quat[i]).T
            point[mine], normal[mine] = local_point @ turn + params.position[i], local_normal @ turn
        kept = np.ones(_BATCH, bool)
        for i in on:
            kept &= (slots == i) | ~_inside(params, i, point + _STEP * normal)
            # Where faces of two parts coincide, the area counts once: for the part that comes first.
            kept &= (slots <= i) | ~_inside(params, i, point - _STEP * normal)
        points, normals = np.concatenate([points, point[kept]]), np.concatenate([normals, normal[kept]])
    return points[:count].astype(np.float32), normals[:count].astype(np.float32)


def _inside(params: ObjectParams, slot: np.integer, points: np.ndarray) -> np.ndarray:
    kind = int(params.kind[slot])
    size = tuple(params.size[slot, : shapes.NUM_SIZES[kind]])
    return shapes.inside(shapes.Primitive(kind, size, params.position[slot], params.quat[slot]), points)


def _area(kind: int, size: np.ndarray) -> float:
    """Surface of a primitive [m2]."""
    a, b, c = size
    if kind == shapes.SPHERE:
        return 4 * np.pi * a**2
    if kind == shapes.CAPSULE:
        return 4 * np.pi * a**2 + 4 * np.pi * a * b
    if kind == shapes.CYLINDER:
        return 2 * np.pi * a**2 + 4 * np.pi * a * b
    if kind == shapes.BOX:
        return 8 * (a * b + b * c + c * a)
    # Knud Thomsen's formula, within 1.1%: only the shares of the parts of one object hang on it.
    power = 1.6075
    return 4 * np.pi * (((a * b) ** power + (b * c) ** power + (c * a) ** power) / 3) ** (1 / power)


def _sphere(rng: np.random.Generator, size: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    normal = _directions(rng, count)
    return size[0] * normal, normal


def _ellipsoid(rng: np.random.Generator, size: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    kept = np.zeros((0, 3))
    # A stretched sphere is denser where it is stretched less: thin it out by the growth of its area.
    while len(kept) < count:
        unit = _directions(rng, 2 * count + 16)
        growth = np.linalg.norm(unit / size, axis=-1) * size.min()
        kept = np.concatenate([kept, unit[rng.random(len(unit)) < growth]])
    unit = kept[:count]
    normal = unit / size
    return unit * size, normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _capsule(rng: np.random.Generator, size: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    radius, half, _ = size
    normal = _directions(rng, count)
    side = rng.random(count) < half / (half + radius)
    normal[side] = _ring(rng, int(side.sum()))
    point = radius * normal
    point[:, 2] += np.where(side, half * rng.uniform(-1, 1, count), half * np.sign(normal[:, 2]))
    return point, normal


def _cylinder(rng: np.random.Generator, size: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    radius, half, _ = size
    normal = _ring(rng, count)
    point = radius * normal
    point[:, 2] = half * rng.uniform(-1, 1, count)
    cap = rng.random(count) < radius / (radius + 2 * half)
    up = np.where(rng.random(count) < 0.5, 1.0, -1.0)
    point[cap] *= np.sqrt(rng.random((int(cap.sum()), 1)))
    point[cap, 2], normal[cap] = half * up[cap], up[cap, None] * np.array([0.0, 0.0, 1.0])
    return point, normal


def _box(rng: np.random.Generator, size: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    area = size.prod() / size
    axis = rng.choice(3, count, p=area / area.sum())
    point, normal = rng.uniform(-1, 1, (count, 3)) * size, np.zeros((count, 3))
    normal[np.arange(count), axis] = np.where(rng.random(count) < 0.5, 1.0, -1.0)
    return np.where(normal != 0, normal * size, point), normal


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    unit = rng.normal(size=(count, 3))
    return unit / np.linalg.norm(unit, axis=-1, keepdims=True)


def _ring(rng: np.random.Generator, count: int) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=-1)


_DRAW = {
    shapes.SPHERE: _sphere,
    shapes.CAPSULE: _capsule,
    shapes.ELLIPSOID: _ellipsoid,
    shapes.CYLINDER: _cylinder,
    shapes.BOX: _box,
}
