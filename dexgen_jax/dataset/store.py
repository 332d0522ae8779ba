"""A dataset on disk: one Zarr v3 group, written through TensorStore in blocks that count once they are committed.

    <folder>/zarr.json                  written last when a dataset is made: version, hand, columns, how it was made
    <folder>/q/c/<block>/0/0            one file per column and block of streams, with checksums inside
    <folder>/committed/<block>.json     the commit marker: this block is whole, and its files have these sizes

A block is written anew until its marker is there, so a writer may be killed at any moment, and several may write
different blocks. Any Zarr v3 reader can open the group; the markers say which streams of it are real.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore

from dexgen_jax import run_log
from dexgen_jax.hand.description import Hand

FORMAT_VERSION = 1
RESOLUTION = 1e-4  # rad per unit of the stored int16
FIRST, DROP, TRUNCATED, SUCCESS, INVALID, PERTURBED = 1, 2, 4, 8, 16, 32  # bits of a row's flags
GROUP_FILE, MARKERS = "zarr.json", "committed"
_STREAMS_PER_CHUNK = 16  # the smallest piece that is read: a file of one block holds many of them


@dataclasses.dataclass(frozen=True)
class Column:
    """What one array holds: a value of `shape` for every row of every stream."""

    shape: tuple[int, ...]
    dtype: str
    unit: str


def columns(hand: Hand) -> dict[str, Column]:
    """The columns of a recording of `hand`. Only `privileged/` needs a simulator; a real hand can record the rest."""
    n = hand.num_joints
    return {
        "q": Column((n,), "int16", f"{RESOLUTION} rad"),
        "target": Column((n,), "int16", f"{RESOLUTION} rad, in force when q was read"),
        "mode": Column((), "uint8", "task label"),
        "flags": Column((), "uint8", "bits: 1 first row, 2 drop, 4 truncated, 8 success, 16 invalid, 32 perturbed"),
        "privileged/object_pose": Column((7,), "float32", "m and w x y z, palm frame"),
        "privileged/gravity": Column((3,), "float32", "m/s2, palm frame"),
        "privileged/touch": Column((len(hand.touch_names),), "float32", "N"),
        "privileged/object_index": Column((), "int32", "number in the attributes' list of objects"),
    }


def quantise(radians: np.ndarray) -> np.ndarray:
    """Joint values [rad] to int16 in units of `RESOLUTION`. Raises ValueError for values that do not fit."""
    limit = np.iinfo(np.int16).max * RESOLUTION
    if not np.all(np.abs(radians) <= limit):  # also true for nan
        worst = radians.flat[np.argmax(np.abs(np.nan_to_num(radians, nan=np.inf)))]
        raise ValueError(f"joint value {worst} rad does not fit: int16 of {RESOLUTION} rad reaches +-{limit:.4f} rad")
    return np.round(np.asarray(radians, np.float64) / RESOLUTION).astype(np.int16)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The size of a dataset: `blocks` x `streams` streams of `rows` rows."""

    blocks: int
    streams: int  # in each block
    rows: int  # at the control rate


class Writer:
    """Writes whole blocks; made by `create`."""

    def __init__(self, folder: Path, layout: Layout, columns: Mapping[str, Column], fresh: bool):
        """Opens the arrays; if `fresh`, makes them, over what a `create` that was killed may have left."""
        self.folder, self.layout, self.columns = folder, layout, dict(columns)
        new = {name: _array_metadata(layout, column) if fresh else None for name, column in self.columns.items()}
        self._arrays = {name: _open_array(folder, name, metadata) for name, metadata in new.items()}

    def missing(self) -> list[int]:
        """Blocks that still have to be written."""
        done = _committed(self.folder)
        return [block for block in range(self.layout.blocks) if block not in done]

    def write(self, block: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one block, (streams, rows, ...) of every column, then commits it."""
        if not 0 <= block < self.layout.blocks:
            raise ValueError(f"block {block} is outside this dataset of {self.layout.blocks} blocks")
        if set(arrays) != set(self.columns):
            raise ValueError(f"a block needs the columns {sorted(self.columns)}, got {sorted(arrays)}")
        for name, column in self.columns.items():
            shape = (self.layout.streams, self.layout.rows, *column.shape)
            found = np.asarray(arrays[name])
            if found.shape != shape or found.dtype != column.dtype:
                raise ValueError(f"column {name} must be {column.dtype} {shape}, got {found.dtype} {found.shape}")
        first = block * self.layout.streams
        rows = slice(first, first + self.layout.streams)
        for pending in [array[rows].write(np.asarray(arrays[name])) for name, array in self._arrays.items()]:
            pending.result()
        files = [_block_file(name, column, block) for name, column in self.columns.items()]
        sizes = {file: (self.folder / file).stat().st_size for file in files}
        run_log.atomic_write(_marker(self.folder, block), run_log.to_json({"block": block, "files": sizes}))


def create(folder: str | Path, hand: Hand, layout: Layout, attributes: Mapping[str, Any]) -> Writer:
    """Makes a dataset for recordings of `hand`, or goes on with one that was made with the same arguments.

    `attributes` (anything JSON can hold) say how the data is made. Raises ValueError if another dataset is in `folder`.
    """
    folder = Path(folder)
    _refuse_unusable(folder)
    table = columns(hand)
    wanted = json.loads(run_log.to_json({
        "format_version": FORMAT_VERSION, "hand": hand.name, "joint_names": hand.joint_names,
        "layout": dataclasses.asdict(layout), "columns": {name: dataclasses.asdict(c) for name, c in table.items()},
        **attributes,
    }))  # fmt: skip
    if (folder / GROUP_FILE).exists():
        found = _attributes(folder)
        different = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
        if different:
            name = different[0]
            raise ValueError(
                f"{folder} holds a dataset made otherwise: its {name} is {found.get(name)}, now it is "
                f"{wanted.get(name)}; choose another folder, or delete this one"
            )
        return Writer(folder, layout, table, fresh=False)
    if _committed(folder):
        raise ValueError(f"{folder} has committed blocks but no {GROUP_FILE}: restore that file, or delete the folder")
    (folder / MARKERS).mkdir(parents=True, exist_ok=True)
    writer = Writer(folder, layout, table, fresh=True)
    for name in {str(Path(name).parent) for name in table} - {"."}:
        _write_group(folder / name, {})
    _write_group(folder, wanted)
    return writer


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The committed part of a dataset; made by `open_dataset`."""

    folder: Path
    attributes: dict[str, Any]
    columns: dict[str, Column]
    layout: Layout
    markers: dict[int, dict]  # of the committed blocks, in order: the files of each and their sizes

    @property
    def blocks(self) -> tuple[int, ...]:
        """Committed blocks, in order."""
        return tuple(self.markers)

    @property
    def num_streams(self) -> int:
        """Streams in all committed blocks."""
        return len(self.blocks) * self.layout.streams

    @property
    def num_rows(self) -> int:
        """Rows of each stream."""
        return self.layout.rows

    def read(self, names: Sequence[str] | None = None, streams: slice = slice(None)) -> dict[str, np.ndarray]:
        """Reads columns as they are stored, all or those in `names`, of all streams or of a range of them.

        Raises ValueError naming the file whose content does not match its checksum.
        """
        names = list(self.columns) if names is None else list(names)
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            raise ValueError(f"no column {unknown[0]!r} in {self.folder}; there are: {', '.join(self.columns)}")
        start, stop, step = streams.indices(self.num_streams)
        if step != 1:
            raise ValueError(f"streams are read as a range without gaps, got step {step}")
        return {name: self._read_column(name, start, max(stop, start)) for name in names}

    def _read_column(self, name: str, start: int, stop: int) -> np.ndarray:
        column, size = self.columns[name], self.layout.streams
        array = _open_array(self.folder, name)
        result = np.empty((stop - start, *array.shape[1:]), column.dtype)
        parts = []
        for i, block in enumerate(self.blocks):
            low, high = max(start, i * size), min(stop, (i + 1) * size)
            if low < high:
                shift = (block - i) * size
                parts.append((block, slice(low - start, high - start), array[low + shift : high + shift].read()))
        for block, rows, pending in parts:
            try:
                result[rows] = pending.result()
            except ValueError as error:
                file = _block_file(name, column, block)
                raise ValueError(_damaged(self.folder, file, "wrong checksum")) from error
        return result


def open_dataset(folder: str | Path, hand: Hand | None = None) -> Dataset:
    """Opens a dataset for reading and checks that every committed file is there and whole.

    With `hand` given, the data must be of that hand. Raises FileNotFoundError or ValueError that say what to do.
    """
    folder = Path(folder)
    if not (folder / GROUP_FILE).exists():
        raise FileNotFoundError(f"no dataset in {folder}; make one with experiments/collect_dataset.py")
    attributes = _attributes(folder)
    version = attributes.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"dataset {folder} has format version {version}, this code reads {FORMAT_VERSION}: redo it")
    if hand is not None and (attributes["hand"], attributes["joint_names"]) != (hand.name, list(hand.joint_names)):
        raise ValueError(f"dataset {folder} is of hand {attributes['hand']!r} with joints {attributes['joint_names']}, "
                         f"asked for {hand.name!r} with {list(hand.joint_names)}: name another dataset, or collect "
                         f"one of this hand with --config.hand={hand.name}")  # fmt: skip
    blocks = _committed(folder)
    if not blocks:
        raise ValueError(f"dataset {folder} has no committed block yet; run experiments/collect_dataset.py to the end")
    for marker in blocks.values():
        for file, size in marker["files"].items():
            path = folder / file
            found = path.stat().st_size if path.exists() else None
            if found != size:
                fault = "is missing" if found is None else f"has {found} bytes instead of {size}"
                raise ValueError(_damaged(folder, file, fault))
    table = {name: Column(**(c | {"shape": tuple(c["shape"])})) for name, c in attributes["columns"].items()}
    return Dataset(folder, attributes, table, Layout(**attributes["layout"]), blocks)


def _damaged(folder: Path, file: str, fault: str) -> str:
    return f"dataset file {folder / file} is damaged ({fault}): delete {folder} and collect it again"


def _marker(folder: Path, block: int) -> Path:
    return folder / MARKERS / f"{block:05d}.json"


def _committed(folder: Path) -> dict[int, dict]:
    """The markers of all committed blocks, by rising block."""
    markers = {}
    for path in sorted((folder / MARKERS).glob("[0-9]*.json")):
        try:
            markers[int(path.stem)] = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); delete it, and its block is made anew") from error
    return markers


def _attributes(folder: Path) -> dict[str, Any]:
    path = folder / GROUP_FILE
    try:
        return json.loads(path.read_text())["attributes"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}): restore it, or delete {folder} and collect again") from error


def _write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    run_log.atomic_write(folder / GROUP_FILE, run_log.to_json(group, indent=1))


def _block_file(name: str, column: Column, block: int) -> str:
    return "/".join([name, "c", str(block), "0", *["0"] * len(column.shape)])


def _array_metadata(layout: Layout, column: Column) -> dict[str, Any]:
    """Zarr v3 metadata: one file per block, in it small compressed chunks with checksums."""
    tail = [layout.rows, *column.shape]
    size = np.dtype(column.dtype).itemsize
    raw = {"name": "bytes", **({"configuration": {"endian": "little"}} if size > 1 else {})}
    shuffle = {"cname": "zstd", "clevel": 5, "shuffle": "shuffle", "typesize": size, "blocksize": 0}
    inner = [raw, {"name": "blosc", "configuration": shuffle}, {"name": "crc32c"}]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    chunk = next(n for n in range(min(_STREAMS_PER_CHUNK, layout.streams), 0, -1) if layout.streams % n == 0)
    shard = {"chunk_shape": [chunk, *tail], "codecs": inner, "index_codecs": index}
    return {
        "shape": [layout.blocks * layout.streams, *tail],
        "data_type": column.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [layout.streams, *tail]}},
        "codecs": [{"name": "sharding_indexed", "configuration": shard}],
        "dimension_names": ["stream", "row", *["component"] * len(column.shape)],
        "attributes": {"unit": column.unit},
    }


def _refuse_unusable(folder: Path) -> None:
    """TensorStore takes a backslash for a slash, so its files would lie elsewhere, and knows no name but text."""
    path = str(folder.resolve())
    if "\\" in path or any("\udc80" <= letter <= "\udcff" for letter in path):
        raise ValueError(f"a dataset cannot be in {path!a}: choose a path of UTF-8 text without a backslash")


def _open_array(folder: Path, name: str, new: dict[str, Any] | None = None) -> tensorstore.TensorStore:
    """Opens an array, or with the metadata of a `new` one makes it."""
    _refuse_unusable(folder)
    # Resolved, for TensorStore takes no path with `..` in it.
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{(folder / name).resolve()}/"}}
    # A chunk of zeros is stored too: then every file of a committed block exists, and one that does not was lost.
    spec["store_data_equal_to_fill_value"] = True
    if new is None:
        return tensorstore.open(spec, open=True).result()
    return tensorstore.open(spec | {"metadata": new}, create=True, delete_existing=True).result()
