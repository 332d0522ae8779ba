"""Recordings for a training, in shards: all of them on the device where they fit, else a buffer they stream through.

The streams of a dataset are dealt out in pieces to shards, and shards to devices; a process reads the pieces of its own
devices and no others. What does not fit is read in passes, each in an order of its own. In round r of a training a
shard's buffer holds the pieces at places [r t, r t + c) of that endless order, so the round says where reading stands,
and a run that is resumed in it reads on exactly.
"""

import collections
import concurrent.futures
import dataclasses
import functools
from collections.abc import Collection, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding

from dexgen_jax.dataset import windows
from dexgen_jax.dataset.store import Dataset

LONGEST_PIECE = 16  # streams: a chunk of the stored files, the least that can be read
_COLUMNS = ("q", "target", "mode", "flags")


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some streams that stand together in a dataset."""

    start: int  # the first, as `Dataset.read` counts
    learned: tuple[bool, ...]  # which of them may be learned from; the rest is held out


@dataclasses.dataclass(frozen=True)
class Cut:
    """Which windows may be cut, see `windows.valid_index`."""

    history: int
    horizon: int
    drop_rows: int


def deal(dataset: Dataset, blocks: Collection[int], held_out: Collection[int], shards: int) -> list[list[Piece]]:
    """The pieces of each shard: those of `blocks`, without windows from the streams numbered `held_out`.

    A stream's number is its place among all blocks, committed or not, so it does not change when others come.
    """
    size, held = dataset.layout.streams, set(held_out)
    places = [i for i, block in enumerate(dataset.blocks) if block in set(blocks)]
    length = piece_length(size, len(places), shards)
    pieces = []
    for place in places:
        for first in range(0, size, length):
            number = dataset.blocks[place] * size + first
            learned = tuple(number + i not in held for i in range(length))
            pieces.append(Piece(place * size + first, learned))
    dealt = [pieces[i::shards] for i in range(shards)]
    if not all(any(any(piece.learned) for piece in own) for own in dealt):
        raise ValueError(
            f"{len(places) * size} streams of {dataset.folder}, {len(held)} of them held out, are too few "
            f"for {shards} shards: record more, or make shards smaller"
        )
    return dealt


def piece_length(streams: int, blocks: int, shards: int) -> int:
    """Streams of a piece: they divide a block's, and small datasets still give every shard four pieces or more."""
    fits = [n for n in range(min(LONGEST_PIECE, streams), 0, -1) if streams % n == 0]
    return next((n for n in fits if blocks * streams // n >= 4 * shards), 1)


class Feed:
    """The shards of a training, round by round."""

    def __init__(
        self, dataset: Dataset, pieces: Sequence[Sequence[Piece]], cut: Cut, sharding: Sharding, budget: float,
        windows_per_round: int, seed: int = 0,
    ) -> None:  # fmt: skip
        """Reads nothing yet.

        `pieces` are those of every shard, `sharding` says which of them lie here; `budget` [bytes] is for all
        recordings of this process. About as many windows are read anew in a round as are drawn in it.
        """
        self.dataset, self.pieces, self.cut, self.sharding, self.seed = dataset, pieces, cut, sharding, seed
        self.own = sorted(_own_shards(sharding, len(pieces)))
        self.length, self.rows = len(pieces[0][0].learned), dataset.num_rows
        self._most = self.length * max(self.rows - cut.history - cut.horizon + 1, 0)  # windows of a piece
        # Beside its rows a piece has a list of its windows: as it was read, in what is drawn from, and in the next.
        size = len(self.own) * (self.length * self.rows * _row_bytes(dataset) + 3 * _NO_WINDOWS.itemsize * self._most)
        longest, shortest = (choose(len(own) for own in pieces) for choose in (max, min))
        self.resident = longest * size <= budget
        self.turnover = 0 if self.resident else -(-windows_per_round // (len(pieces) * max(self._most, 1)))
        ahead = self.turnover + 2  # pieces that are read ahead or on their way to the device
        room = int(budget // size) - ahead
        self.capacity = longest if self.resident else min(room, shortest)
        if not self.resident and self.capacity < max(self.turnover, 2):
            needed = (max(self.turnover, 2) + ahead) * size
            raise ValueError(
                f"a memory budget of {budget / 1e9:.3g} GB holds too little of {dataset.folder}: these "
                f"settings need {needed / 1e9:.3g} GB or more, or fewer steps_per_call"
            )
        self._executor = concurrent.futures.ThreadPoolExecutor(1)  # decoding has threads of its own
        self._round = -2  # nothing yet
        self._reader: Iterator[tuple] = iter(())
        self._recording: windows.Recording | None = None
        self._index = [[_NO_WINDOWS] * self.capacity for _ in self.own]
        self._insert = jax.jit(_insert, donate_argnums=0, out_shardings=sharding)

    def at(self, number: int) -> windows.Recording:
        """The shards (s, ...) of round `number`; what the round before gave is not to be used any more."""
        number = 0 if self.resident else number
        if self._recording is not None and number == self._round:
            return self._recording
        first = number * self.turnover
        if self._recording is None or number != self._round + 1:
            self._reader, fresh = self._read_on(first), range(first, first + self.capacity)
        else:
            fresh = range(first - self.turnover + self.capacity, first + self.capacity)
        recording = self._recording or self._empty()
        for position in fresh:
            arrays, found = next(self._reader)
            slot = position % self.capacity
            columns = recording.replace(index=None, count=None)
            recording = self._insert(columns, self._place(arrays), slot * self.length)
            for index, valid in zip(self._index, found, strict=True):
                index[slot] = valid + np.int32(slot * self.length * self.rows)
        recording = self._with_index(recording)
        self._recording, self._round = recording, number
        return recording

    def _read_on(self, position: int) -> Iterator[tuple[tuple[np.ndarray, ...], list[np.ndarray]]]:
        """What `_read` gives from `position` on; the next few are being read already."""
        waiting: collections.deque[concurrent.futures.Future] = collections.deque()
        while True:
            while len(waiting) <= self.turnover:
                waiting.append(self._executor.submit(self._read, position))
                position += 1
            yield waiting.popleft().result()

    def _read(self, position: int) -> tuple[tuple[np.ndarray, ...], list[np.ndarray]]:
        """The piece at a place of the order, of all own shards: columns (s, streams, rows, ...), and their windows."""
        read = [self._read_piece(self._piece(shard, position)) for shard in self.own]
        return tuple(map(np.stack, zip(*(arrays for arrays, _ in read), strict=True))), [found for _, found in read]

    def _read_piece(self, piece: Piece | None) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        if piece is None:  # a shard that has fewer than others
            shape = (self.length, self.rows)
            table = [self.dataset.columns[name] for name in _COLUMNS[:3]]
            return tuple(np.zeros((*shape, *column.shape), column.dtype) for column in table), _NO_WINDOWS
        read = self.dataset.read(_COLUMNS, slice(piece.start, piece.start + self.length))
        found = windows.valid_index(read["flags"], self.cut.history, self.cut.horizon, self.cut.drop_rows)
        return tuple(read[name] for name in _COLUMNS[:3]), found[np.asarray(piece.learned)[found // self.rows]]

    def _piece(self, shard: int, position: int) -> Piece | None:
        own = self.pieces[shard]
        if self.resident:
            return own[position] if position < len(own) else None
        return own[_order(self.seed, shard, position // len(own), len(own))[position % len(own)]]

    def _empty(self) -> windows.Recording:
        """Shards in which no piece lies yet."""
        shape = (len(self.pieces), self.capacity * self.length, self.rows)
        table = [self.dataset.columns[name] for name in _COLUMNS[:3]]
        make = lambda: [jnp.zeros((*shape, *column.shape), column.dtype) for column in table]
        q, target, mode = jax.jit(make, out_shardings=self.sharding)()
        return windows.Recording(q, target, mode, index=None, count=None)

    def _with_index(self, recording: windows.Recording) -> windows.Recording:
        """The recording with the list of all windows in it. Raises ValueError if a shard has none."""
        index = np.zeros((len(self.own), self.capacity * self._most), np.int32)
        count = np.zeros(len(self.own), np.int32)
        for i, parts in enumerate(self._index):
            count[i] = sum(map(len, parts))
            np.concatenate(parts, out=index[i, : count[i]])
        if not count.all():
            span = self.cut.history + self.cut.horizon
            raise ValueError(
                f"no window of {span} rows fits shard {self.own[int(np.argmin(count))]} of {self.dataset.folder} "
                f"without its episode's end or the {self.cut.drop_rows} rows before a drop: record longer or more, "
                "make shards smaller, or take an expert that drops less"
            )
        return recording.replace(index=self._place(index), count=self._place(count))

    def _place(self, arrays):
        """Own shards (s, ...) as arrays over all of them."""
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(self.sharding, x), arrays)


_NO_WINDOWS = np.zeros(0, np.int32)


def _insert(recording: windows.Recording, arrays: tuple[jax.Array, ...], stream: int) -> windows.Recording:
    """Lays the columns of one piece of every shard into the place that begins at `stream`."""
    lay = lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, stream, axis=1)
    q, target, mode = map(lay, (recording.q, recording.target, recording.mode), arrays)
    return windows.Recording(q, target, mode, index=None, count=None)


@functools.lru_cache(maxsize=256)
def _order(seed: int, shard: int, turn: int, count: int) -> np.ndarray:
    """In which order pass `turn` goes over the `count` pieces of a shard."""
    return np.random.default_rng([seed, shard, turn]).permutation(count)


def _own_shards(sharding: Sharding, count: int) -> set[int]:
    """The shards that lie on devices of this process."""
    places = sharding.addressable_devices_indices_map((count,)).values()
    return {shard for (part,) in places for shard in range(*part.indices(count))}


def _row_bytes(dataset: Dataset) -> int:
    columns = (dataset.columns[name] for name in _COLUMNS[:3])
    return sum(np.dtype(column.dtype).itemsize * int(np.prod(column.shape)) for column in columns)
