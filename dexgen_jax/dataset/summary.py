"""What a dataset holds, counted block by block: a large one is never in memory as a whole."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from dexgen_jax.dataset import store, windows

EVENTS = {
    "drops": store.DROP,
    "goals": store.SUCCESS,
    "invalid": store.INVALID,
    "episodes": store.FIRST,
    "cut_off": store.TRUNCATED,
}


def describe(dataset: store.Dataset, drop_seconds: float, modes: Sequence[str]) -> dict[str, Any]:
    """Hours, drops, goals, shares of modes and objects, size and provenance of a dataset.

    A transition is a row that is not INVALID, and of these are all shares. `kept` is that of rows outside the last
    `drop_seconds` [s] before a drop, `modes` are the names of the numbers in the column mode. `bytes_per_transition` is
    what lies on disk, and not known in a bucket. Raises ValueError if there is no transition.
    """
    hertz = dataset.attributes.get("control_hz", 10.0)
    objects = list(dataset.attributes.get("objects", []))
    counts, of_modes, of_objects, joints = _count(dataset, round(drop_seconds * hertz), len(modes), len(objects))
    rows = counts["transitions"]
    if not rows:
        raise ValueError(f"all rows of {dataset.folder} are marked as invalid: there is nothing to tell of it")
    return {
        "transitions": rows, "hours": rows / hertz / 3600, **counts, "kept": counts["kept"] / rows,
        "disturbed": counts["disturbed"] / rows, "seconds_per_drop": rows / hertz / max(counts["drops"], 1),
        "modes": _shares(modes, of_modes), "objects": _shares(objects, of_objects) if objects else {},
        "joints_rad": {
            name: [round(float(end * store.RESOLUTION), 4) for end in ends]
            for name, *ends in zip(dataset.attributes["joint_names"], *joints, strict=True)
        },
        "blocks": len(dataset.blocks), "missing_blocks": dataset.layout.blocks - len(dataset.blocks),
        **_sizes(dataset, rows),
        **{name: dataset.attributes.get(name) for name in ("hand", "dexgen_jax", "provenance")},
    }  # fmt: skip


def _count(
    dataset: store.Dataset, drop_rows: int, modes: int, objects: int
) -> tuple[collections.Counter[str], np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Rows of each kind, of each mode (modes,) and of each object (objects,), and the joints' lowest and highest."""
    counts: collections.Counter[str] = collections.Counter()
    of_modes, of_objects = np.zeros(modes, int), np.zeros(objects, int)
    low, high = np.array(np.inf), np.array(-np.inf)
    for start in range(0, dataset.num_streams, dataset.layout.streams):
        names = ["flags", "mode", "q", "privileged/object_index"]
        block = dataset.read(names, slice(start, start + dataset.layout.streams))
        flags = block["flags"]
        real = flags & store.INVALID == 0
        marked = {name: flags & bit > 0 for name, bit in EVENTS.items()} | {
            "transitions": real,
            "disturbed": real & (flags & store.PERTURBED > 0),
            "kept": real & ~windows.before_drop(flags, drop_rows),
        }
        counts.update({name: int(np.count_nonzero(rows)) for name, rows in marked.items()})
        of_modes += np.bincount(block["mode"][real], minlength=modes)
        if objects:  # or their numbers mean nothing
            of_objects += np.bincount(block["privileged/object_index"][real], minlength=objects)
        if real.any():
            low, high = np.minimum(low, block["q"][real].min(0)), np.maximum(high, block["q"][real].max(0))
    return counts, of_modes, of_objects, (low, high)


def _shares(names: Sequence[str], counts: np.ndarray) -> dict[str, float]:
    """The share of each name; one that several tasks have, each under a number of its own, counts once."""
    shares: dict[str, float] = {}
    for name, count in zip(names, counts.tolist(), strict=True):
        if count:
            shares[name] = shares.get(name, 0.0) + count / counts.sum()
    return shares


def _sizes(dataset: store.Dataset, rows: int) -> dict[str, float | None]:
    """Bytes of a row on disk: of all columns, and of those that any hand has."""
    files = [item for marker in dataset.markers.values() for item in marker["files"].items()]
    if any(size is None for _, size in files):
        return {"bytes_per_transition": None, "bytes_per_transition_without_privileged": None}
    bare = sum(size for name, size in files if not name.startswith("privileged/"))
    total = sum(size for _, size in files)
    return {"bytes_per_transition": total / rows, "bytes_per_transition_without_privileged": bare / rows}
