"""Pictures without a graphics driver: MuJoCo casts the rays, NumPy shades what they hit.

A bare machine often has neither EGL nor OSMesa, and a report without a picture says little. Rays are cast by
`mujoco.batch.Batch.ray`, which is multithreaded and needs no context: about 0.1 s a frame of 320 x 240 on two cores.
"""

import copy
import dataclasses
import functools
from collections.abc import Sequence

import mujoco
import mujoco.batch
import numpy as np

OFF_MARGIN = -1.0  # m: a geom with a margin below this is an empty object slot and is not drawn
_CHUNK = 8  # frames cast at once: bounds memory to about 100 MB at 320 x 240
_COARSE = 8  # every so many rays are cast to find where there is something to see
_LINK, _TIP, _PALM = (0.36, 0.39, 0.44), (0.13, 0.55, 0.60), (0.27, 0.30, 0.35)  # linear RGB
_OBJECT, _OBJECT_DARK, _GHOST = (0.93, 0.38, 0.08), (0.70, 0.20, 0.03), (0.10, 0.62, 0.28)
_SKY_TOP, _SKY_BOTTOM = (0.93, 0.95, 0.97), (0.70, 0.74, 0.79)
_SPREAD = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]]) / np.sqrt(3)  # a tetrahedron
_KEY, _FILL = (0.62, 0.40, 0.67), (-0.25, -0.85, 0.30)  # towards the lights, palm frame


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera in the palm frame, which is also the world frame of the scene."""

    eye: tuple[float, float, float] = (0.31, -0.30, -0.03)  # m
    target: tuple[float, float, float] = (0.045, 0.0, -0.004)  # m
    up: tuple[float, float, float] = (0.2, 0.0, 1.0)
    field_of_view: float = 31.0  # degrees, vertical

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns unit vectors (3,) that point right, down and forward in the picture."""
        forward = _unit(np.subtract(self.target, self.eye))
        right = _unit(np.cross(forward, self.up))
        return right, np.cross(forward, right), forward

    def rays(self, width: int, height: int) -> np.ndarray:
        """Returns unit directions (height * width, 3) through the pixels' centres, row by row from the top."""
        right, down, forward = self.axes()
        reach = np.tan(np.radians(self.field_of_view) / 2)
        y = (2 * (np.arange(height) + 0.5) / height - 1) * reach
        x = (2 * (np.arange(width) + 0.5) / width - 1) * reach * width / height
        rays = forward + x[None, :, None] * right + y[:, None, None] * down
        return _unit(rays).reshape(-1, 3)


CAMERA = Camera()


def render(
    model: mujoco.MjModel | Sequence[mujoco.MjModel],
    qpos: np.ndarray,
    width: int = 320,
    height: int = 240,
    camera: Camera = CAMERA,
    goal: np.ndarray | None = None,
    supersample: int = 2,
) -> np.ndarray:
    """Draws states `qpos` (frames, nq) of one model, or a model per frame; returns uint8 (frames, height, width, 3).

    The body with a free joint is the object. `goal` (frames, 7) [m, w x y z] draws the object once more, as a ghost
    at a pose to be reached. Each pixel is the mean of `supersample`^2 rays.
    """
    qpos = np.asarray(qpos, np.float64)
    models = [model] * len(qpos) if isinstance(model, mujoco.MjModel) else list(model)
    if qpos.ndim != 2 or len(models) != len(qpos) or (len(qpos) and qpos.shape[1] != models[0].nq):
        raise ValueError(f"qpos has shape {qpos.shape}, the {len(models)} models need (frames, {models[0].nq})")
    frames = np.zeros((len(qpos), height, width, 3), np.uint8)
    start = 0
    while start < len(qpos):
        if start == 0 or models[start] is not models[start - 1]:
            scene = _Scene(models[start], camera, width, height, supersample)
        same = (i for i in range(start, min(start + _CHUNK, len(qpos))) if models[i] is not models[start])
        part = slice(start, next(same, min(start + _CHUNK, len(qpos))))
        frames[part] = scene.picture(qpos[part], None if goal is None else np.asarray(goal[part], np.float64))
        start = part.stop
    return frames


class _Scene:
    """One model with its colours, and a batch that casts rays at several of its states at once."""

    def __init__(self, model: mujoco.MjModel, camera: Camera, width: int, height: int, supersample: int):
        self.supersample, self.grid = supersample, (height * supersample, width * supersample)
        self.eye, self.rays = np.asarray(camera.eye, float), camera.rays(*self.grid[::-1])
        self.sky, self.turn = _sky(*self.grid), _turns(*self.grid, supersample)
        self.model = copy.copy(model)
        free = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
        self.object_body = int(model.jnt_bodyid[free[0]]) if len(free) else -1
        self.object_qpos = slice(*(int(model.jnt_qposadr[free[0]]) + np.array([0, 7]))) if len(free) else slice(0, 0)
        self.is_object = model.geom_bodyid == self.object_body
        # Rays pass through geoms of alpha 0, and group 1 lets the ghost be cast without the hand.
        self.model.geom_rgba[:, 3] = np.where(model.geom_margin < OFF_MARGIN, 0.0, 1.0)
        self.model.geom_matid[:] = -1
        self.model.geom_group[:] = self.is_object
        self.colour = _colours(model, self.is_object)

    @functools.cached_property
    def batch(self) -> mujoco.batch.Batch:
        return mujoco.batch.Batch(self.model, _CHUNK)

    def picture(self, qpos: np.ndarray, goal: np.ndarray | None) -> np.ndarray:
        """Returns uint8 (frames, height, width, 3)."""
        there = None if goal is None or self.object_body < 0 else qpos.copy()
        if there is not None:
            there[:, self.object_qpos] = goal
        image = np.tile(self.sky.reshape(*self.grid, 3), (len(qpos), 1, 1, 1))
        window = self._window(qpos if there is None else np.concatenate([qpos, there]))
        if window is not None:
            image[:, *window] = self._shade(qpos, there, window)
        # Linear light to sRGB bytes: a pixel's rays are averaged first.
        rows, columns = (side // self.supersample for side in self.grid)
        pixels = image.reshape(len(qpos), rows, self.supersample, columns, self.supersample, 3).mean((2, 4))
        return np.round(255 * np.clip(pixels, 0, 1) ** (1 / 2.2)).astype(np.uint8)

    def _window(self, qpos: np.ndarray) -> tuple[slice, slice] | None:
        """The part of the ray grid (rows, columns) that holds all that can be seen: few rays are cast to find it."""
        rays = self.rays.reshape(*self.grid, 3)[_COARSE // 2 :: _COARSE, _COARSE // 2 :: _COARSE]
        seen = np.zeros(rays.shape[:2], bool)
        for start in range(0, len(qpos), _CHUNK):
            geom = self._cast(qpos[start : start + _CHUNK], self.eye, rays.reshape(-1, 3))[1]
            seen |= (geom >= 0).any(0).reshape(seen.shape)
        if not seen.any():
            return None
        ends = [np.flatnonzero(seen.any(axis))[[0, -1]] + [-1, 2] for axis in (1, 0)]
        rows, columns = (slice(max(_COARSE * first, 0), _COARSE * last) for first, last in ends)
        return rows, columns

    def _shade(self, qpos: np.ndarray, there: np.ndarray | None, window: tuple[slice, slice]) -> np.ndarray:
        """Linear RGB (frames, rows, columns, 3) of a part of the grid of rays; the object at `there` is a ghost."""
        rays, sky, turn = (
            part.reshape(*self.grid, -1)[window].reshape(-1, part[0].size) for part in (self.rays, self.sky, self.turn)
        )
        distance, geom, normal = self._cast(qpos, self.eye, rays)
        image = np.tile(sky, (len(qpos), 1, 1))
        seen = _rows(geom >= 0)
        hit, along = np.take_along_axis(geom, seen, 1), rays[seen]
        point = self.eye + np.take_along_axis(distance, seen, 1)[..., None] * along
        light = self._light(qpos, point, np.take_along_axis(normal, seen[..., None], 1), -along, turn[seen, 0])
        lit = np.where(hit[..., None] >= 0, self._albedo(hit, point, qpos) * light, sky[seen])
        np.put_along_axis(image, seen[..., None], lit.astype(np.float32), 1)
        shape = self.rays.reshape(*self.grid, 3)[window].shape
        image = image.reshape(len(qpos), *shape)
        if there is not None:
            self._add_ghost(image, there, rays, np.where(geom < 0, np.inf, distance).reshape(image.shape[:-1]))
        return image

    def _cast(self, qpos, origin, rays, group=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.batch.bind("qpos")[: len(qpos)] = qpos
        return self.batch.ray(origin, rays, geomgroup=group, ids=np.arange(len(qpos)), normal=True)

    def _albedo(self, geom: np.ndarray, point: np.ndarray, qpos: np.ndarray) -> np.ndarray:
        """Flat colours, but two tones by octant on the object: a turning sphere must be seen to turn."""
        albedo = self.colour[geom]
        if self.object_body < 0:
            return albedo
        pose = qpos[:, self.object_qpos]
        local = _into_frame(pose, point)
        dark = self.is_object[geom] & (np.prod(np.sign(local), axis=-1) < 0)
        return np.where(dark[..., None], np.array(_OBJECT_DARK), albedo)

    def _light(self, qpos, point, normal, to_eye, turn) -> np.ndarray:
        """A key light with soft shadows, a fill light, and sky that near geoms cover; (frames, k, 1)."""
        key, fill = _unit(np.array(_KEY)), _unit(np.array(_FILL))
        # Neighbouring rays take turns through a few directions: their mean is soft, and has no grain.
        turn = _SPREAD[turn]
        start = point + 5e-4 * normal
        bright = np.maximum(normal @ key, 0) * (self._cast(qpos, start, key + 0.10 * turn)[0] < 0)
        near = self._cast(qpos, start, _unit(normal + 0.9 * turn))[0]
        sky = np.where(near < 0, 1.0, np.clip(near / 0.06, 0, 1))
        gloss = np.maximum(np.sum(normal * _unit(key + to_eye), -1), 0) ** 40 * (bright > 0)
        rim = (1 - np.clip(np.sum(normal * to_eye, -1), 0, 1)) ** 4
        fill = np.maximum(normal @ fill, 0)
        return (1.0 * bright + sky * (0.24 + 0.22 * fill + 0.3 * rim) + 0.25 * gloss)[..., None]

    def _add_ghost(self, image, there, rays, distance) -> None:
        depth, _, normal = self._cast(there, self.eye, rays, group=np.array([0, 1, 0, 0, 0, 0], np.uint8))
        depth, outline = depth.reshape(distance.shape), _outline(normal.reshape(image.shape).astype(np.float32))
        opacity = np.where(outline, 0.9, np.where(depth < 0, 0.0, 0.14)) * np.where(depth < distance, 1.0, 0.45)
        image += opacity[..., None].astype(np.float32) * (np.array(_GHOST, np.float32) - image)


def _outline(normal: np.ndarray) -> np.ndarray:
    """Marks rays (frames, rows, columns) where the surface ends or bends; `normal` (..., 3) is zero beside it."""
    edge = np.zeros(normal.shape[:-1], bool)
    bend = np.sum((normal[:, 1:] - normal[:, :-1]) ** 2, -1) > 0.2
    edge[:, 1:] |= bend
    edge[:, :-1] |= bend
    bend = np.sum((normal[:, :, 1:] - normal[:, :, :-1]) ** 2, -1) > 0.2
    edge[:, :, 1:] |= bend
    edge[:, :, :-1] |= bend
    return edge


def _turns(rows: int, columns: int, supersample: int) -> np.ndarray:
    """Numbers each ray (rows * columns,): which direction of the spread its soft light takes.

    The rays of one pixel take different directions, and so do pixels of a 2 x 2 block if a pixel has too few rays.
    """
    row, column = np.divmod(np.arange(rows * columns), columns)
    within = row % supersample * supersample + column % supersample
    block = row // supersample % 2 * 2 + column // supersample % 2
    return (within + supersample**2 * block) % len(_SPREAD)


def _sky(rows: int, columns: int) -> np.ndarray:
    """The background, linear RGB (rows * columns, 3): brighter above, and around the middle."""
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    share = np.clip(y + 0.25 * x**2, 0, 1).reshape(-1, 1)
    return ((1 - share) * np.array(_SKY_TOP) + share * np.array(_SKY_BOTTOM)).astype(np.float32)


def _colours(model: mujoco.MjModel, is_object: np.ndarray) -> np.ndarray:
    """Linear RGB (geoms, 3): leaf bodies of the hand are its fingertips, body 1 is its palm."""
    parents = set(model.body_parentid[1:].tolist())
    tips = np.array([body not in parents for body in range(model.nbody)])[model.geom_bodyid]
    colour = np.where(tips[:, None], _TIP, np.where((model.geom_bodyid == 1)[:, None], _PALM, _LINK))
    return np.where(is_object[:, None], _OBJECT, colour)


def _rows(mask: np.ndarray) -> np.ndarray:
    """Returns indices (frames, k) of the true entries first; k fits the fullest row, short rows take others too."""
    return np.argsort(~mask, axis=1, kind="stable")[:, : max(int(mask.sum(1).max()), 1)]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _into_frame(pose: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Expresses world points (frames, k, 3) in the frame of `pose` (frames, 7) [m, w x y z]."""
    matrix = np.zeros((len(pose), 9))
    for row, quat in zip(matrix, pose[:, 3:], strict=True):
        mujoco.mju_quat2Mat(row, quat)
    return (point - pose[:, None, :3]) @ matrix.reshape(-1, 3, 3)
