"""A dataset: one Zarr v3 group, written through TensorStore in blocks that count once they are committed.

    <folder>/zarr.json                  written last when a dataset is made: version, hand, columns, how it was made
    <folder>/q/c/<block>/0/0            one file per column and block of streams, with checksums inside
    <folder>/committed/<block>.json     the commit marker: this block is whole, and its files have these sizes

A block is written anew until its marker is there, so a writer may be killed at any moment. Any number of writers fill
one dataset, each with blocks of its own (`Writer.claim`): what they made together is the list of the markers, and files
of blocks that were made elsewhere, of the same dataset, need only be copied beside them. Any Zarr v3 reader can open
the group; the markers say which streams of it are real. The folder may be one of a bucket, see `places.py`.
"""

import dataclasses
import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore

from dexgen_jax import run_log
from dexgen_jax.dataset import places
from dexgen_jax.dataset.places import Bucket, Folder
from dexgen_jax.hand.description import Hand

FORMAT_VERSION = 1
RESOLUTION = 1e-4  # rad per unit of the stored int16
FIRST, DROP, TRUNCATED, SUCCESS, INVALID, PERTURBED = 1, 2, 4, 8, 16, 32  # bits of a row's flags
GROUP_FILE, MARKERS = "zarr.json", "committed"
_MAKING = 2**40  # the lock of a dataset that is being made; smaller numbers are blocks
_SECONDS_BETWEEN_LOOKS = 0.2  # at blocks that another writer holds
_STREAMS_PER_CHUNK = 16  # the smallest piece that is read: a file of one block holds many of them

Place = Folder | Bucket


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

    def __init__(self, place: Place, layout: Layout, columns: Mapping[str, Column], fresh: bool):
        """Opens the arrays; if `fresh`, makes them, over what a `create` that was killed may have left."""
        self.place, self.layout, self.columns = place, layout, dict(columns)
        new = {name: _array_metadata(layout, column) if fresh else None for name, column in self.columns.items()}
        self._arrays = {name: _open_array(place, name, metadata) for name, metadata in new.items()}

    def missing(self) -> list[int]:
        """Blocks that still have to be written."""
        done = set(_committed_blocks(self.place))
        return [block for block in range(self.layout.blocks) if block not in done]

    def claim(self, writer: int = 0, writers: int = 1) -> Iterator[int]:
        """Gives blocks to write one by one, each kept from other writers until the next is asked for.

        Ends when all are committed. For a block that another process holds it waits, and takes it over if that process
        ends without it. In a bucket nothing can be held: there each of `writers` must have a number of its own, from 0,
        and gets every so many-th block and no others; in a folder the number only says with which block to begin.
        """
        if not 0 <= writer < writers:
            raise ValueError(f"writer {writer} of {writers}: writers are numbered from 0 to {writers - 1}")
        waiting = [block for block in self.missing() if block % writers == writer]
        if isinstance(self.place, Folder):
            waiting += [block for block in self.missing() if block % writers != writer]
        while waiting:
            held = []
            for block in waiting:
                with self.place.hold(block) as free:
                    if not free:
                        held.append(block)
                    elif self.place.read(_marker(block)) is None:
                        yield block
            waiting = held
            if waiting:
                time.sleep(_SECONDS_BETWEEN_LOOKS)

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
        sizes = {file: self.place.size(file) for file in files}
        self.place.write(_marker(block), run_log.to_json({"block": block, "files": sizes}))


def create(folder: str | Path | Place, hand: Hand, layout: Layout, attributes: Mapping[str, Any]) -> Writer:
    """Makes a dataset for recordings of `hand`, or goes on with one that was made with the same arguments.

    `attributes` (anything JSON can hold) say how the data is made. Raises ValueError if another dataset is in `folder`.
    """
    place, table = places.at(folder), columns(hand)
    place.kvstore("")  # refuses what the storage would misread, before anything is made
    wanted = json.loads(run_log.to_json({
        "format_version": FORMAT_VERSION, "hand": hand.name, "joint_names": hand.joint_names,
        "layout": dataclasses.asdict(layout), "columns": {name: dataclasses.asdict(c) for name, c in table.items()},
        **attributes,
    }))  # fmt: skip
    with place.hold(_MAKING, wait=True):  # two writers that begin at once make it once
        found = _attributes(place)
        if found is None:
            return _make(place, layout, table, wanted)
    different = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if different:
        name = different[0]
        raise ValueError(
            f"{place} holds a dataset made otherwise: its {name} is {found.get(name)}, now it is "
            f"{wanted.get(name)}; choose another folder, or delete this one"
        )
    return Writer(place, layout, table, fresh=False)


def _make(place: Place, layout: Layout, table: Mapping[str, Column], attributes: Mapping[str, Any]) -> Writer:
    if _committed_blocks(place):
        raise ValueError(f"{place} has committed blocks but no {GROUP_FILE}: restore that file, or delete the folder")
    writer = Writer(place, layout, table, fresh=True)
    for name in {name.rpartition("/")[0] for name in table} - {""}:
        _write_group(place, f"{name}/{GROUP_FILE}", {})
    _write_group(place, GROUP_FILE, attributes)
    return writer


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The committed part of a dataset; made by `open_dataset`."""

    place: Place
    attributes: dict[str, Any]
    columns: dict[str, Column]
    layout: Layout
    markers: dict[int, dict]  # of the committed blocks, in order: the files of each and their sizes

    @property
    def folder(self) -> str:
        """Its name, for messages."""
        return str(self.place)

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

    @functools.cached_property
    def _arrays(self) -> dict[str, tensorstore.TensorStore]:
        return {name: _open_array(self.place, name) for name in self.columns}

    def read(self, names: Sequence[str] | None = None, streams: slice = slice(None)) -> dict[str, np.ndarray]:
        """Reads columns as they are stored, all or those in `names`, of all streams or of a range of them.

        Raises ValueError naming the file that is missing, or whose content does not match its checksum.
        """
        names = list(self.columns) if names is None else list(names)
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            raise ValueError(f"no column {unknown[0]!r} in {self.folder}; there are: {', '.join(self.columns)}")
        start, stop = self._ends(streams)
        return {name: self._read_column(name, start, stop) for name in names}

    def _ends(self, streams: slice) -> tuple[int, int]:
        start, stop, step = streams.indices(self.num_streams)
        if step != 1:
            raise ValueError(f"streams are read as a range without gaps, got step {step}")
        return start, max(start, stop)

    def _read_column(self, name: str, start: int, stop: int) -> np.ndarray:
        column, size, array = self.columns[name], self.layout.streams, self._arrays[name]
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
                fault = "is missing" if str(error).startswith("NOT_FOUND") else "wrong checksum"
                raise ValueError(_damaged(self.place, file, fault)) from error
        return result


@dataclasses.dataclass(frozen=True)
class Joined(Dataset):
    """Several datasets that are read as one, the streams of each after those of the one before; made by `join`."""

    parts: tuple[Dataset, ...]

    @property
    def folder(self) -> str:
        """Their names, for messages."""
        return " and ".join(part.folder for part in self.parts)

    def read(self, names: Sequence[str] | None = None, streams: slice = slice(None)) -> dict[str, np.ndarray]:
        """See `Dataset.read`."""
        start, stop = self._ends(streams)
        found, first = [], 0
        for part in self.parts:
            own = slice(max(start - first, 0), max(stop - first, 0))
            if own.start < min(own.stop, part.num_streams) or part is self.parts[0]:
                found.append(part.read(names, own))
            first += part.num_streams
        return {name: np.concatenate([columns[name] for columns in found]) for name in found[0]}


def join(*datasets: Dataset) -> Dataset:
    """Datasets of one hand and layout as one, for instance recordings and a log from a laboratory.

    Blocks are numbered through, committed or not. Raises ValueError saying in what the datasets differ.
    """
    first, blocks = datasets[0], 0
    markers: dict[int, dict] = {}
    for other in datasets:
        kind = lambda one: {
            "hand": one.attributes["hand"],
            "joint names": one.attributes["joint_names"],
            "control rate": one.attributes.get("control_hz"),
            "streams of a block": one.layout.streams,
            "rows of a stream": one.layout.rows,
        }
        for name, value in kind(other).items():
            if value != kind(first)[name]:
                raise ValueError(
                    f"{other.folder} and {first.folder} cannot be read as one: the {name} is {value}, and "
                    f"{kind(first)[name]} in the other"
                )
        markers |= {blocks + block: marker for block, marker in other.markers.items()}
        blocks += other.layout.blocks
    layout = dataclasses.replace(first.layout, blocks=blocks)
    return Joined(first.place, first.attributes, first.columns, layout, markers, datasets)


def open_dataset(folder: str | Path | Place, hand: Hand | None = None) -> Dataset:
    """Opens a dataset for reading and checks that every committed file is there and whole.

    In a bucket that would be a question for each file: there they are checked when they are read. With `hand` given,
    the data must be of that hand. Raises FileNotFoundError or ValueError that say what to do.
    """
    place = places.at(folder)
    attributes = _attributes(place)
    if attributes is None:
        raise FileNotFoundError(
            f"no dataset in {place}; make one there with experiments/collect_dataset.py, or name another"
        )
    version = attributes.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(f"dataset {place} has format version {version}, this code reads {FORMAT_VERSION}: redo it")
    if hand is not None and (attributes["hand"], attributes["joint_names"]) != (hand.name, list(hand.joint_names)):
        raise ValueError(
            f"dataset {place} is of hand {attributes['hand']!r} with joints {attributes['joint_names']}, "
            f"asked for {hand.name!r} with {list(hand.joint_names)}: name another dataset, or collect "
            f"one of this hand with --config.hand={hand.name}"
        )
    blocks = _committed(place)
    if not blocks:
        raise ValueError(f"dataset {place} has no committed block yet; run experiments/collect_dataset.py to the end")
    for marker in blocks.values():
        for file, size in marker["files"].items():
            found = None if size is None else place.size(file)
            if found != size:
                fault = "is missing" if found is None else f"has {found} bytes instead of {size}"
                raise ValueError(_damaged(place, file, fault))
    table = {name: Column(**(c | {"shape": tuple(c["shape"])})) for name, c in attributes["columns"].items()}
    return Dataset(place, attributes, table, Layout(**attributes["layout"]), blocks)


def _damaged(place: Place, file: str, fault: str) -> str:
    return f"dataset file {place}/{file} is damaged ({fault}): delete {place} and collect it again"


def _marker(block: int) -> str:
    return f"{MARKERS}/{block:05d}.json"


def _committed_blocks(place: Place) -> list[int]:
    """The numbers of all committed blocks, rising."""
    found = [name.partition(".") for name in place.names(MARKERS)]
    return sorted(int(number) for number, _, kind in found if number.isdigit() and kind == "json")


def _committed(place: Place) -> dict[int, dict]:
    """The markers of all committed blocks, by rising block."""
    markers = {}
    for block in _committed_blocks(place):
        try:
            markers[block] = json.loads(place.read(_marker(block)) or b"")
        except ValueError as error:
            raise ValueError(
                f"{place}/{_marker(block)} is damaged ({error}); delete it, and its block is made anew"
            ) from error
    return markers


def _attributes(place: Place) -> dict[str, Any] | None:
    """What the file of the group says, or None if there is none."""
    data = place.read(GROUP_FILE)
    try:
        return None if data is None else json.loads(data)["attributes"]
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{place}/{GROUP_FILE} is damaged ({error}): restore it, or delete {place} and collect again"
        ) from error


def _write_group(place: Place, name: str, attributes: Mapping[str, Any]) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    place.write(name, run_log.to_json(group, indent=1))


def _block_file(name: str, column: Column, block: int) -> str:
    return "/".join([name, "c", str(block), "0", *["0"] * len(column.shape)])


def _array_metadata(layout: Layout, column: Column) -> dict[str, Any]:
    """Zarr v3 metadata: one file per block, in it small compressed chunks with checksums.

    A component's values lie one after the other in a chunk, for a joint compresses better next to its neighbours in
    time than beside other joints. Level 9 would save 2% more in eight times the time.
    """
    tail = [layout.rows, *column.shape]
    size = np.dtype(column.dtype).itemsize
    raw = {"name": "bytes", **({"configuration": {"endian": "little"}} if size > 1 else {})}
    by_component = [{"name": "transpose", "configuration": {"order": [2, 0, 1]}}] if column.shape else []
    shuffle = {"cname": "zstd", "clevel": 7, "shuffle": "shuffle", "typesize": size, "blocksize": 0}
    inner = [*by_component, raw, {"name": "blosc", "configuration": shuffle}, {"name": "crc32c"}]
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


def _open_array(place: Place, name: str, new: dict[str, Any] | None = None) -> tensorstore.TensorStore:
    """Opens an array, or with the metadata of a `new` one makes it."""
    spec: dict[str, Any] = {"driver": "zarr3", "kvstore": place.kvstore(name)}
    # A chunk of zeros is stored too: then every file of a committed block exists, and to read a lost one is an error.
    spec |= {"store_data_equal_to_fill_value": True, "fill_missing_data_reads": False}
    if new is None:
        return tensorstore.open(spec, open=True).result()
    if isinstance(place, Folder):
        return tensorstore.open(spec | {"metadata": new}, create=True, delete_existing=True).result()
    # Another writer may be making it as well, and has perhaps written in it already.
    return tensorstore.open(spec | {"metadata": new}, create=True, open=True).result()
