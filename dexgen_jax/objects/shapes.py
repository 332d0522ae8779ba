"""An object is a fixed number of slots, each a primitive at a place in the object's frame or switched off.

Shapes are made on the host (NumPy) and stacked, so a batch of environments holds different objects as plain arrays.
Densities are uniform: mass properties are kept per kilogram, and the mass itself belongs to the world.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
from flax import struct
from numpy.typing import ArrayLike

from dexgen_jax.hand import mirror

SPHERE = int(mujoco.mjtGeom.mjGEOM_SPHERE)  # size: radius
CAPSULE = int(mujoco.mjtGeom.mjGEOM_CAPSULE)  # size: radius, half length of the straight part
ELLIPSOID = int(mujoco.mjtGeom.mjGEOM_ELLIPSOID)  # size: three radii
CYLINDER = int(mujoco.mjtGeom.mjGEOM_CYLINDER)  # size: radius, half length
BOX = int(mujoco.mjtGeom.mjGEOM_BOX)  # size: three half lengths
KIND_NAMES = {SPHERE: "sphere", CAPSULE: "capsule", ELLIPSOID: "ellipsoid", CYLINDER: "cylinder", BOX: "box"}
NUM_SIZES = {SPHERE: 1, CAPSULE: 2, ELLIPSOID: 3, CYLINDER: 2, BOX: 3}
MAX_SLOTS = 6
_OFF = 1e-3  # m, size of a slot that is switched off: engines refuse a geom of size 0


@struct.dataclass
class ObjectParams:
    """One object (or, with a leading axis, a stack of them). Frames: slots in the object's frame."""

    kind: np.ndarray  # (S,) int32, MuJoCo geom type
    size: np.ndarray  # (S, 3) m, half sizes as MuJoCo has them
    position: np.ndarray  # (S, 3) m
    quat: np.ndarray  # (S, 4) w x y z
    on: np.ndarray  # (S,) bool
    com: np.ndarray  # (3,) m, centre of mass
    inertia: np.ndarray  # (3,) m2, principal moments per kilogram about the centre of mass
    inertia_quat: np.ndarray  # (4,) principal axes in the object's frame

    @property
    def num_slots(self) -> int:
        return self.kind.shape[-1]


@struct.dataclass
class Primitive:
    """One solid part of an object; `position` [m] and `quat` in the object's frame."""

    kind: int = struct.field(pytree_node=False)
    size: tuple[float, ...]
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)


def build(parts: Sequence[Primitive], resolution: int = 72) -> ObjectParams:
    """Joins parts (they may overlap) into one object with one slot per part.

    Mass properties come from a midpoint grid of `resolution` cells along each side of the bounding box: exact for
    a box, within 1% for curved parts. Raises ValueError for a part of unknown kind, without positive sizes or with a
    quaternion that is not a rotation, and for more than `MAX_SLOTS` parts.
    """
    if not 1 <= len(parts) <= MAX_SLOTS:
        raise ValueError(f"an object needs 1 to {MAX_SLOTS} parts, got {len(parts)}")
    for part in parts:
        if part.kind not in NUM_SIZES:
            raise ValueError(f"geom type {part.kind} is no primitive; known: {KIND_NAMES}")
        if len(part.size) != NUM_SIZES[part.kind] or not min(part.size) > 0:  # NaN too
            raise ValueError(
                f"a {KIND_NAMES[part.kind]} needs {NUM_SIZES[part.kind]} positive sizes [m], got {part.size}"
            )
        if not np.all(np.isfinite([*part.size, *part.position])):
            raise ValueError(f"a {KIND_NAMES[part.kind]} of size {part.size} at {part.position} is not finite")
        length = np.linalg.norm(part.quat)
        if not abs(length - 1) < 1e-4:
            kind = KIND_NAMES[part.kind]
            raise ValueError(f"the quaternion of a {kind}, {part.quat}, has length {length:.4g}, not 1")
    com, inertia, inertia_quat = _mass_properties(parts, resolution)
    size = np.full((len(parts), 3), _OFF)
    for row, part in zip(size, parts, strict=True):
        row[: len(part.size)] = part.size
    return ObjectParams(
        kind=np.array([p.kind for p in parts], np.int32),
        size=size.astype(np.float32),
        position=np.array([p.position for p in parts], np.float32),
        quat=np.array([p.quat for p in parts], np.float32),
        on=np.ones(len(parts), bool),
        com=com.astype(np.float32),
        inertia=inertia.astype(np.float32),
        inertia_quat=inertia_quat.astype(np.float32),
    )


def reflect(thing: ObjectParams) -> ObjectParams:
    """The image of an object in the plane y = 0 of its own frame, see `hand.mirror`."""
    point, quat = (lambda x: mirror.reflect(x, mirror.POINT)), (lambda x: mirror.reflect(x, mirror.QUAT))
    return thing.replace(
        position=point(thing.position),
        quat=quat(thing.quat),
        com=point(thing.com),
        inertia_quat=quat(thing.inertia_quat),
    )


def as_held(objects: Sequence[ObjectParams], hand_name: str) -> list[ObjectParams]:
    """The objects of a hand's world: their images if the hand is an image."""
    image = mirror.right_of(hand_name) != hand_name
    return [reflect(thing) if image else thing for thing in objects]


def inside(part: Primitive, points: np.ndarray) -> np.ndarray:
    """Tells which points (..., 3) [m, object frame] lie in the part; (...,) bool."""
    local = (points - np.asarray(part.position)) @ rotation_matrix(part.quat)
    size = part.size
    if part.kind == SPHERE:
        return np.sum(local**2, -1) <= size[0] ** 2
    if part.kind == ELLIPSOID:
        return np.sum((local / np.asarray(size)) ** 2, -1) <= 1
    if part.kind == BOX:
        return np.all(np.abs(local) <= np.asarray(size), -1)
    radial = np.sum(local[..., :2] ** 2, -1)
    beyond = np.abs(local[..., 2]) - size[1]
    if part.kind == CYLINDER:
        return (radial <= size[0] ** 2) & (beyond <= 0)
    return radial + np.maximum(beyond, 0) ** 2 <= size[0] ** 2


def rotation_matrix(quat: ArrayLike) -> np.ndarray:
    """The matrix (3, 3) of a quaternion (4,): its columns are the turned axes."""
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, np.asarray(quat, float))
    return matrix.reshape(3, 3)


def bounds(part: Primitive) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest corner (3,) [m, object frame] of the smallest upright box around a part."""
    size, matrix = np.asarray(part.size, float), rotation_matrix(part.quat)
    if part.kind == BOX:
        half = np.abs(matrix) @ size
    elif part.kind in (SPHERE, ELLIPSOID):
        half = np.linalg.norm(matrix * size, axis=1)
    elif part.kind == CAPSULE:
        half = np.abs(matrix[:, 2]) * size[1] + size[0]
    else:
        half = np.abs(matrix[:, 2]) * size[1] + size[0] * np.sqrt(np.maximum(1 - matrix[:, 2] ** 2, 0))
    return np.asarray(part.position) - half, np.asarray(part.position) + half


def _mass_properties(parts: Sequence[Primitive], resolution: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes = np.array([bounds(p) for p in parts])
    low, high = boxes[:, 0].min(0), boxes[:, 1].max(0)
    steps = (np.arange(resolution) + 0.5) / resolution
    grid = np.stack(np.meshgrid(*(low[i] + steps * (high[i] - low[i]) for i in range(3)), indexing="ij"), -1)
    points = grid[np.any([inside(p, grid) for p in parts], axis=0)]
    if not len(points):
        raise ValueError(
            f"parts are too small beside the {np.max(high - low):.3g} m that they span: no cell of a grid of "
            f"{resolution} a side lies in one; make them larger, bring them nearer or raise `resolution`"
        )
    com = points.mean(0)
    centred = points - com
    second = centred.T @ centred / len(points) + np.diag(((high - low) / resolution) ** 2 / 12)  # cells are solid too
    moments, axes = np.linalg.eigh(np.trace(second) * np.eye(3) - second)
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, axes.reshape(-1))
    return com, moments, quat


def layout(objects: Sequence[ObjectParams], static_kinds: bool) -> tuple[int, ...]:
    """Chooses the kinds of slots that hold any of `objects`.

    Engines that can change a slot's kind per environment need only as many slots as the largest object has; with
    `static_kinds` every kind gets as many slots as the object that uses it most.
    """
    if not static_kinds:
        largest = max(objects, key=lambda o: o.num_slots)
        return tuple(int(k) for k in largest.kind)
    kinds = []
    for kind in sorted(KIND_NAMES):
        kinds += [kind] * max(int(np.sum(o.kind[o.on] == kind)) for o in objects)
    return tuple(kinds)


def stack(objects: Sequence[ObjectParams], slot_kinds: tuple[int, ...], static_kinds: bool) -> ObjectParams:
    """Packs objects into the given slots and stacks them along a new leading axis (N, ...).

    Raises ValueError naming the kind there is no slot left for.
    """
    packed = [_pack(o, slot_kinds, static_kinds) for o in objects]
    fields = {name: np.stack([getattr(o, name) for o in packed]) for name in ObjectParams.__dataclass_fields__}
    return ObjectParams(**fields)


def _pack(params: ObjectParams, slot_kinds: tuple[int, ...], static_kinds: bool) -> ObjectParams:
    count = len(slot_kinds)
    kind, size = np.array(slot_kinds, np.int32), np.full((count, 3), _OFF, np.float32)
    position, quat = np.zeros((count, 3), np.float32), np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    on = np.zeros(count, bool)
    for i in np.flatnonzero(params.on):
        fits = np.flatnonzero(~on & (kind == params.kind[i])) if static_kinds else np.flatnonzero(~on)
        if not len(fits):
            have = [KIND_NAMES[k] for k in slot_kinds]
            raise ValueError(f"no slot left for a {KIND_NAMES[int(params.kind[i])]}: the scene has {have}")
        slot = fits[0]
        kind[slot], size[slot] = params.kind[i], params.size[i]
        position[slot], quat[slot], on[slot] = params.position[i], params.quat[i], True
    return params.replace(kind=kind, size=size, position=position, quat=quat, on=on)
