"""GraspLibrary: validated grasps on disk, one file per object, and on the device as a graph of goals.

File format (version 2): `<object>.npz` with `q`, `target` (N, n) float32 [rad], `object_pose` (N, 7) float32 [m,
w x y z, palm frame] and `meta`, a JSON string that names hand and object, says how the grasps were made, and carries
the SHA-256 of the arrays, so a damaged file is never read as whole. In version 1 poses were of the inertial frame.
"""

import dataclasses
import functools
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.hand import rotation
from dexgen_jax.run_log import atomic_write

FORMAT_VERSION = 2
_ARRAYS = ("q", "target", "object_pose")


@dataclasses.dataclass(frozen=True)
class ObjectGrasps:
    """The grasps of one object, on the host."""

    hand_name: str
    object_name: str
    q: np.ndarray  # (N, n) rad
    target: np.ndarray  # (N, n) rad
    object_pose: np.ndarray  # (N, 7) m and quaternion
    made: dict  # how: seed, batches, candidates, versions, ...

    def __len__(self) -> int:
        return len(self.q)


def save(folder: str | Path, grasps: ObjectGrasps) -> Path:
    """Writes `<folder>/<object>.npz` in one step: a reader sees the old file or the new one, never a part."""
    arrays = {name: np.ascontiguousarray(getattr(grasps, name), np.float32) for name in _ARRAYS}
    meta = {
        "version": FORMAT_VERSION, "hand": grasps.hand_name, "object": grasps.object_name, "made": grasps.made,
        "sha256": _digest(arrays),
    }  # fmt: skip
    buffer = io.BytesIO()
    np.savez(buffer, meta=json.dumps(meta), **arrays)
    path = Path(folder) / f"{grasps.object_name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, buffer.getvalue())
    return path


def load(folder: str | Path, object_name: str, hand_name: str) -> ObjectGrasps:
    """Reads one object's grasps. Raises FileNotFoundError or ValueError that say which file and what to do."""
    path = Path(folder) / f"{object_name}.npz"
    if not path.exists():
        found = sorted(p.stem for p in Path(folder).glob("*.npz"))
        raise FileNotFoundError(
            f"no grasps of {object_name!r} in {folder} (found: {', '.join(found) or 'none'}); "
            "make them with experiments/grow_grasps.py"
        )
    try:
        with np.load(path) as data:
            arrays = {name: data[name] for name in _ARRAYS}
            meta = json.loads(str(data["meta"]))
    except (zipfile.BadZipFile, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"grasp file {path} is damaged ({error}); delete it and grow its grasps again") from error
    if meta["sha256"] != _digest(arrays):
        raise ValueError(f"grasp file {path} is damaged: its content hash differs; delete it and grow its grasps again")
    if meta["version"] != FORMAT_VERSION:
        raise ValueError(
            f"grasp file {path} has format version {meta['version']}, this code reads {FORMAT_VERSION}: "
            "delete it and grow its grasps again"
        )
    if (meta["hand"], meta["object"]) != (hand_name, object_name):
        raise ValueError(
            f"grasp file {path} is for hand {meta['hand']!r} and object {meta['object']!r}, "
            f"asked for {hand_name!r} and {object_name!r}"
        )
    return ObjectGrasps(meta["hand"], meta["object"], **arrays, made=meta["made"])


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in _ARRAYS:
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class GraphConfig:
    """Which grasps are neighbours. One unit of distance is `position_unit`, `angle_unit` or `joint_unit` of change."""

    neighbours: int = 16
    min_angle: float = 0.55  # rad: goals lie outside the success tolerance, or standing still would reach them
    position_unit: float = 0.02  # m
    angle_unit: float = 0.4  # rad
    joint_unit: float = 0.3  # rad, root mean square over the joints


@struct.dataclass
class GraspLibrary:
    """All objects' grasps on the device. Objects are numbered as the engine numbers them."""

    q: jax.Array  # (N, n) rad
    target: jax.Array  # (N, n) rad
    object_pose: jax.Array  # (N, 7) m and quaternion
    object_index: jax.Array  # (N,) int32
    neighbours: jax.Array  # (N, k) int32, rows of this library: goals to draw from this grasp
    centre: jax.Array  # (3,) m, where grasps hold their objects on average

    def __len__(self) -> int:
        return self.q.shape[0]

    def draw_start(self, key: jax.Array) -> jax.Array:
        """Draws the row () of any grasp."""
        return jax.random.randint(key, (), 0, self.q.shape[0])

    def draw_goal(self, key: jax.Array, row: jax.Array) -> jax.Array:
        """Draws the row () of a neighbour of grasp `row` ()."""
        return self.neighbours[row, jax.random.randint(key, (), 0, self.neighbours.shape[1])]


def assemble(objects: Sequence[ObjectGrasps], config: GraphConfig) -> GraspLibrary:
    """Joins the objects' grasps into one library with its goal graph.

    Raises ValueError for an object with too few grasps to have `config.neighbours` goals outside the tolerance.
    """
    neighbours, first = [], 0
    for grasps in objects:
        enough = len(grasps) > config.neighbours
        found, distance = _nearest(grasps.q, grasps.object_pose, config) if enough else (None, np.inf)
        if not np.isfinite(distance).all():
            raise ValueError(
                f"object {grasps.object_name!r} has {len(grasps)} grasps, too few for {config.neighbours} goals at "
                f"least {config.min_angle} rad away from each; grow more, or ask for fewer neighbours"
            )
        neighbours.append(found + first)
        first += len(grasps)
    pose = np.concatenate([g.object_pose for g in objects])
    return GraspLibrary(
        q=jnp.asarray(np.concatenate([g.q for g in objects])),
        target=jnp.asarray(np.concatenate([g.target for g in objects])),
        object_pose=jnp.asarray(pose),
        object_index=jnp.asarray(np.concatenate([np.full(len(g), i, np.int32) for i, g in enumerate(objects)])),
        neighbours=jnp.asarray(np.concatenate(neighbours), jnp.int32),
        centre=jnp.asarray(pose[:, :3].mean(0)),
    )


def distance(
    q: jax.Array, pose: jax.Array, other_q: jax.Array, other_pose: jax.Array, config: GraphConfig
) -> tuple[jax.Array, jax.Array]:
    """Returns the graph's distance () between two grasps and the angle () [rad] between their objects."""
    angle = rotation.angle_between(pose[3:], other_pose[3:])
    shift = jnp.linalg.norm(pose[:3] - other_pose[:3])
    joints = jnp.sqrt(jnp.mean((q - other_q) ** 2))
    return shift / config.position_unit + angle / config.angle_unit + joints / config.joint_unit, angle


def _nearest(q: np.ndarray, pose: np.ndarray, config: GraphConfig) -> tuple[np.ndarray, np.ndarray]:
    """Returns each grasp's nearest goals (N, k) and their distances, infinite where there are none."""
    pairwise = functools.partial(distance, config=config)
    @jax.jit
    def of_one(row: jax.Array) -> tuple[jax.Array, jax.Array]:
        far, angle = jax.vmap(pairwise, in_axes=(None, None, 0, 0))(all_q[row], all_pose[row], all_q, all_pose)
        negative, index = jax.lax.top_k(-jnp.where(angle >= config.min_angle, far, jnp.inf), config.neighbours)
        return index, -negative

    all_q, all_pose = jnp.asarray(q), jnp.asarray(pose)
    # One row at a time inside one compiled loop: N x N distances are never in memory together.
    index, far = jax.jit(lambda rows: jax.lax.map(of_one, rows, batch_size=64))(jnp.arange(len(q)))
    return np.asarray(index), np.asarray(far)
