"""GraspLibrary: validated grasps on disk, one file per object, and on the device as a graph of goals.

The file format is described in docs/grasps.md: int16 joints, float32 poses, and a JSON string that names hand and
object, says how the grasps were made, and carries the SHA-256 of the arrays, so that a damaged file is never read.
"""

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax import pretrained
from dexgen_jax.grasps import goals
from dexgen_jax.grasps.goals import GraphConfig
from dexgen_jax.hand import mirror
from dexgen_jax.run_log import atomic_write

__all__ = ["GraphConfig", "GraspLibrary", "ObjectGrasps", "assemble", "join", "load", "save"]

FORMAT_VERSION = 3
_JOINT_STEP = 1e-4  # rad
_ROWS = ("q", "target", "object_pose", "touches", "source")  # arrays with a row for each grasp


@dataclasses.dataclass(frozen=True)
class ObjectGrasps:
    """The grasps of one object, on the host."""

    hand_name: str
    object_name: str
    q: np.ndarray  # (N, n) rad
    target: np.ndarray  # (N, n) rad, joint targets that hold the object
    object_pose: np.ndarray  # (N, 7) m and quaternion w x y z, palm frame
    touches: np.ndarray  # (N, capsules) bool, which collision shapes of the hand touch the object
    source: np.ndarray  # (N,) uint8, which maker of `growth.MAKERS` found it
    provenance: dict  # seed, batches, counts at each stage, versions, ...

    def __len__(self) -> int:
        return len(self.q)

    def take(self, rows: np.ndarray) -> "ObjectGrasps":
        """The grasps of these rows (a mask or numbers)."""
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in _ROWS})

    def rounded(self) -> "ObjectGrasps":
        """The same grasps as a file holds them: joints in steps of 1e-4 rad."""
        return _decode(self, _encode(self))


def save(folder: str | Path, grasps: ObjectGrasps) -> Path:
    """Writes `<folder>/<object>.npz` in one step: a reader sees the old file or the new one, never a part."""
    arrays = _encode(grasps)
    meta = {
        "version": FORMAT_VERSION,
        "hand": grasps.hand_name,
        "object": grasps.object_name,
        "made": grasps.provenance,
        "sha256": _digest(arrays),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, meta=json.dumps(meta), **arrays)
    path = Path(folder) / f"{grasps.object_name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, buffer.getvalue())
    return path


def load(folder: str | Path, object_name: str, hand_name: str) -> ObjectGrasps:
    """Reads one object's grasps from a folder, or from those that come with the package if it is 'shipped'.

    A left hand takes the file of its right one, reflected. Raises FileNotFoundError or ValueError that say which file
    and what to do.
    """
    folder = pretrained.find("grasps", folder, hand=hand_name)
    path = folder / f"{object_name}.npz"
    if not path.exists():
        found = sorted(p.stem for p in folder.glob("*.npz"))
        raise FileNotFoundError(
            f"no grasps of {object_name!r} in {folder} (found: {', '.join(found) or 'none'}); "
            "make them with experiments/grow_grasps.py"
        )
    try:
        with np.load(path) as data:
            meta = json.loads(str(data["meta"]))
            arrays = {name: data[name] for name in _ROWS} if meta["version"] == FORMAT_VERSION else {}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"grasp file {path} is damaged ({error}); delete it and grow its grasps again") from error
    if meta["version"] != FORMAT_VERSION:
        raise ValueError(
            f"grasp file {path} has format version {meta['version']}, this code reads {FORMAT_VERSION}: "
            "delete it and grow its grasps again"
        )
    if meta["sha256"] != _digest(arrays):
        raise ValueError(f"grasp file {path} is damaged: its content hash differs; delete it and grow its grasps again")
    reflected = meta["hand"] != hand_name and meta["hand"] == mirror.right_of(hand_name)
    if not (reflected or meta["hand"] == hand_name) or meta["object"] != object_name:
        raise ValueError(
            f"grasp file {path} is for hand {meta['hand']!r} and object {meta['object']!r}, "
            f"asked for {hand_name!r} and {object_name!r}: name another folder, or grow them with "
            f"experiments/grow_grasps.py --config.hand={hand_name}"
        )
    nothing = ObjectGrasps(hand_name, object_name, *[None] * len(_ROWS), provenance=meta["made"])
    if reflected:
        arrays["object_pose"] = mirror.reflect(arrays["object_pose"], mirror.POSE)
    return _decode(nothing, arrays)


def _encode(grasps: ObjectGrasps) -> dict[str, np.ndarray]:
    joints = {name: np.round(np.asarray(getattr(grasps, name), float) / _JOINT_STEP) for name in ("q", "target")}
    for name, steps in joints.items():
        too_far = ~(np.abs(steps) < 2**15)  # NaN too
        if np.any(too_far):
            row, joint = np.argwhere(too_far)[0]
            angle = steps[row, joint] * _JOINT_STEP
            raise ValueError(
                f"{name} of {grasps.object_name!r} is {angle:g} rad in row {row}, joint {joint}: a grasp "
                "file holds finite angles within +-3.2767 rad, so give the hand narrower limits there"
            )
    return {
        **{name: steps.astype(np.int16) for name, steps in joints.items()},
        "object_pose": np.asarray(grasps.object_pose, np.float32),
        "touches": np.asarray(grasps.touches, bool),
        "source": np.asarray(grasps.source, np.uint8),
    }


def _decode(like: ObjectGrasps, arrays: dict[str, np.ndarray]) -> ObjectGrasps:
    joints = {name: (arrays[name] * _JOINT_STEP).astype(np.float32) for name in ("q", "target")}
    return dataclasses.replace(like, **arrays | joints)


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in _ROWS:
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def join(first: ObjectGrasps, second: ObjectGrasps, provenance: dict) -> ObjectGrasps:
    """Puts the grasps of `second` after those of `first`. Raises ValueError for another hand or object."""
    names = [(grasps.hand_name, grasps.object_name) for grasps in (first, second)]
    if names[0] != names[1]:
        (hand, thing), (other_hand, other_thing) = names
        raise ValueError(
            f"grasps of object {thing!r} in hand {hand!r} and of {other_thing!r} in {other_hand!r} "
            "cannot be one library"
        )
    rows = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in _ROWS}
    return dataclasses.replace(first, **rows, provenance=provenance)


@struct.dataclass
class GraspLibrary:
    """All objects' grasps on the device. Objects are numbered as the engine numbers them."""

    q: jax.Array  # (N, n) rad
    target: jax.Array  # (N, n) rad
    object_pose: jax.Array  # (N, 7) m and quaternion
    object_index: jax.Array  # (N,) int32
    neighbours: jax.Array  # (N, k) int32, rows of this library: goals to draw from this grasp, the nearest first
    distance: jax.Array  # (N, k) units of the graph's metric; infinite where there is no such goal
    centre: jax.Array  # (3,) m, where grasps hold their objects on average
    hand_name: str = struct.field(pytree_node=False)

    def __len__(self) -> int:
        return self.q.shape[0]

    def draw_start(self, key: jax.Array) -> jax.Array:
        """Draws the row () of any grasp."""
        return jax.random.randint(key, (), 0, self.q.shape[0])

    def draw_goal(self, key: jax.Array, row: jax.Array) -> jax.Array:
        """Draws the row () of any goal of grasp `row` ()."""
        count = jnp.sum(jnp.isfinite(self.distance[row]))
        return self.neighbours[row, jax.random.randint(key, (), 0, jnp.maximum(count, 1))]


def assemble(objects: Sequence[ObjectGrasps], config: GraphConfig) -> GraspLibrary:
    """Joins the objects' grasps into one library with its goal graph; grasps outside an object's graph are left out.

    Raises ValueError for grasps of different hands, and for an object with too few grasps to have `config.neighbours`
    goals outside the tolerance.
    """
    if len(hands := {grasps.hand_name: grasps.object_name for grasps in objects}) > 1:
        raise ValueError(f"grasps of different hands, {hands}, cannot be one library: load those of one hand")
    kept, neighbours, distance, first = [], [], [], 0
    for grasps in objects:
        graph = goals.build(grasps.q, grasps.object_pose, config)
        if len(graph.rows) <= config.neighbours:
            raise ValueError(
                f"object {grasps.object_name!r} has {len(grasps)} grasps, {len(graph.rows)} of them in its graph: too "
                f"few for {config.neighbours} goals at least {config.min_angle} rad and at most {config.radius} units "
                "away; grow more, or ask for fewer neighbours"
            )
        kept.append(grasps.take(graph.rows))
        neighbours.append(graph.neighbours + first)
        distance.append(graph.distance)
        first += len(graph.rows)
    index = np.concatenate([np.full(len(grasps), i, np.int32) for i, grasps in enumerate(kept)])
    rows = {name: np.concatenate([getattr(grasps, name) for grasps in kept]) for name in ("q", "target", "object_pose")}
    arrays = rows | {
        "object_index": index,
        "neighbours": np.concatenate(neighbours).astype(np.int32),
        "distance": np.concatenate(distance),
        "centre": rows["object_pose"][:, :3].mean(0),
    }
    # jnp.asarray would compile a program for each shape.
    return GraspLibrary(**jax.device_put(arrays), hand_name=objects[0].hand_name)
