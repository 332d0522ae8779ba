"""Export to LeRobotDataset v3: recordings for people with other tools.

    <folder>/meta/info.json, stats.json, tasks.parquet, episodes/chunk-000/file-000.parquet
    <folder>/data/chunk-000/file-000.parquet      one row per frame: a file for each block of a dataset

A frame holds the joint positions that were read (`observation.state`), the targets in force then
(`observation.target`) and the targets that were set (`action`), in rad, by joint name. So an action is the target in
force at the next frame, and the last row of an episode, whose action nobody recorded, is left out. An episode ends
before its first row that is INVALID: neither padding nor an object that falls is a demonstration. Modes are tasks.
Format: the documentation of the package lerobot, codebase version v3.0. Needs pyarrow: the extra [lerobot].
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dexgen_jax import run_log
from dexgen_jax.dataset import store

VERSION = "v3.0"  # of the format
STATE, IN_FORCE, ACTION, FLAGS = "observation.state", "observation.target", "action", "observation.flags"
_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_FILES_PER_CHUNK = 1000
_ENDS = store.DROP | store.TRUNCATED | store.SUCCESS
_INDICES = ("frame_index", "episode_index", "index", "task_index")


def parquet() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet. Raises ValueError that says how to install them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(f"LeRobot's format needs pyarrow ({error}): pip install 'dexgen_jax[lerobot]'") from error
    return pyarrow, pyarrow.parquet


def write(dataset: store.Dataset, folder: str | Path, modes: Sequence[str]) -> dict[str, int]:
    """Writes a dataset to `folder`, which must not exist; returns how many episodes and frames.

    `modes` are the names of the numbers in the column mode. What only a simulator knows is left out.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists already: choose another folder for the export")
    rate = float(dataset.attributes.get("control_hz", 10.0))
    if rate != round(rate):
        raise ValueError(f"{dataset.folder} has {rate} rows a second; LeRobot knows whole numbers only")
    episodes: list[dict[str, Any]] = []
    frames, moments = 0, {name: _Moments() for name in (STATE, IN_FORCE, ACTION)}
    for place in range(len(dataset.blocks)):
        size = dataset.layout.streams
        read = dataset.read(["q", "target", "mode", "flags"], slice(place * size, (place + 1) * size))
        tables = []
        for episode in _episodes(read):
            episode |= _times(len(episode["mode"]), frames, len(episodes), rate)
            episodes.append({"task": modes[episode["task_index"][0]], "length": len(episode["mode"]), "file": place,
                             "first": frames})  # fmt: skip
            frames += len(episode.pop("mode"))
            tables.append(episode)
            for name, seen in moments.items():
                seen.add(episode[name])
        if tables:
            columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
            _write_table(folder / _data_file(place), columns)
    if not episodes:
        raise ValueError(f"{dataset.folder} has no episode of two rows or more: nothing to export")
    _write_meta(folder, dataset, round(rate), modes, episodes, frames, moments)
    return {"episodes": len(episodes), "frames": frames}


@dataclasses.dataclass
class _Moments:
    """Extremes, mean and spread of a column, added up in parts."""

    count: int = 0
    total: Any = 0.0
    square: Any = 0.0
    low: Any = np.inf
    high: Any = -np.inf

    def add(self, values: np.ndarray) -> None:
        wide = values.astype(np.float64)
        self.count, self.total = self.count + len(wide), self.total + wide.sum(0)
        self.square = self.square + (wide**2).sum(0)
        self.low, self.high = np.minimum(self.low, wide.min(0)), np.maximum(self.high, wide.max(0))

    def to_dict(self) -> dict[str, Any]:
        mean = self.total / self.count
        std = np.sqrt(np.maximum(self.square / self.count - mean**2, 0))
        return {"min": self.low, "max": self.high, "mean": mean, "std": std, "count": [self.count]}


def _episodes(block: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """The episodes of a block, each up to its first INVALID row and without its last row, as columns of frames."""
    for stream in range(len(block["flags"])):
        q, target, mode, flags = (block[name][stream] for name in ("q", "target", "mode", "flags"))
        starts = [0, *(np.flatnonzero(flags[1:] & store.FIRST) + 1), len(flags)]
        for start, end in itertools.pairwise(starts):
            stop = start + np.argmax(np.append(flags[start:end] & store.INVALID > 0, True))
            if stop - start >= 2:
                now, then = slice(start, stop - 1), slice(start + 1, stop)
                seen = flags[now].astype(np.int64)
                # How it ended is said of the last row that stays; a drop may be that of an INVALID row.
                seen[-1] |= np.bitwise_or.reduce(flags[stop - 1 : end]) & _ENDS
                yield {
                    STATE: _rad(q[now]),
                    IN_FORCE: _rad(target[now]),
                    ACTION: _rad(target[then]),
                    FLAGS: seen,
                    "mode": mode[now],
                    "task_index": np.full(stop - start - 1, mode[start], np.int64),
                }


def _rad(stored: np.ndarray) -> np.ndarray:
    return (stored * store.RESOLUTION).astype(np.float32)


def _times(length: int, first: int, episode: int, rate: float) -> dict[str, np.ndarray]:
    row = np.arange(length)
    return {
        "timestamp": (row / rate).astype(np.float32),
        "frame_index": row,
        "episode_index": np.full(length, episode),
        "index": first + row,
    }


def _data_file(number: int) -> str:
    return _DATA.format(chunk_index=number // _FILES_PER_CHUNK, file_index=number % _FILES_PER_CHUNK)


def _write_table(path: Path, columns: Mapping[str, Any], index: str | None = None) -> None:
    """Writes a Parquet file; `index` names the column that pandas takes for the names of its rows."""
    pa, pq = parquet()

    def array(values: Any) -> Any:
        if isinstance(values, np.ndarray) and values.ndim == 2:
            return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        return pa.array(values)

    table = pa.table({name: array(values) for name, values in columns.items()})
    if index:
        kinds = {name: ("unicode", "object") if name == index else ("int64", "int64") for name in columns}
        described = [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
            for name, (kind, numpy) in kinds.items()
        ]
        pandas = {"index_columns": [index], "column_indexes": [], "columns": described, "pandas_version": "2.0.0"}
        table = table.replace_schema_metadata({"pandas": json.dumps(pandas)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _write_meta(
    folder: Path, dataset: store.Dataset, rate: int, modes: Sequence[str], episodes: list[dict], frames: int,
    moments: Mapping[str, _Moments],
) -> None:  # fmt: skip
    hand, joints = dataset.attributes["hand"], dataset.attributes["joint_names"]
    vector = {"dtype": "float32", "shape": [len(joints)], "names": joints, "info": {"unit": "rad"}}
    scalar = lambda dtype: {"dtype": dtype, "shape": [1], "names": None}
    features = {name: vector for name in (STATE, IN_FORCE, ACTION)}
    features |= {FLAGS: scalar("int64"), "timestamp": scalar("float32"), **dict.fromkeys(_INDICES, scalar("int64"))}
    info = {
        "codebase_version": VERSION, "robot_type": hand, "total_episodes": len(episodes), "total_frames": frames,
        "total_tasks": len(modes), "chunks_size": _FILES_PER_CHUNK, "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200, "fps": rate, "splits": {"train": f"0:{len(episodes)}"}, "data_path": _DATA,
        "video_path": None, "features": features,
    }  # fmt: skip
    _write_table(folder / "meta/tasks.parquet", {"task_index": np.arange(len(modes)), "task": list(modes)}, "task")
    numbers = lambda key: np.asarray([episode[key] for episode in episodes])
    zero = np.zeros(len(episodes), int)
    _write_table(folder / "meta/episodes/chunk-000/file-000.parquet", {
        "episode_index": np.arange(len(episodes)), "tasks": [[episode["task"]] for episode in episodes],
        "length": numbers("length"), "data/chunk_index": numbers("file") // _FILES_PER_CHUNK,
        "data/file_index": numbers("file") % _FILES_PER_CHUNK, "dataset_from_index": numbers("first"),
        "dataset_to_index": numbers("first") + numbers("length"), "meta/episodes/chunk_index": zero,
        "meta/episodes/file_index": zero,
    })  # fmt: skip
    stats = {name: seen.to_dict() for name, seen in moments.items()}
    run_log.atomic_write(folder / "meta/stats.json", run_log.to_json(stats, indent=1))
    run_log.atomic_write(folder / "meta/info.json", run_log.to_json(info, indent=1))  # last: now it is complete
