"""Which streams a training learns from, which are held out, and its statistics: settled once, and kept with the run.

    <run_dir>/controller/data/     the blocks of the dataset that the run began with, held-out streams, normaliser

A dataset may grow, or be made anew, between two starts of a run. Split and fitted again, streams that were learned from
would be held out and measured as if they were new, and the networks would see other units than they learned in.
"""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from flax import serialization
from jax.sharding import Sharding
from ml_collections import ConfigDict

from dexgen_jax import checkpoints
from dexgen_jax.controller.model import Model
from dexgen_jax.dataset import store, stream, windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.run_log import to_json

Fit = Callable[[windows.Recording], Normalizer]


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a training loop needs of its dataset."""

    feed: stream.Feed
    held_out: Callable[[], windows.Recording]  # reads the streams to measure with
    statistics: Normalizer


@dataclasses.dataclass(frozen=True)
class Split:
    """Streams by their number in the dataset, which does not change when other blocks come."""

    blocks: dict[str, str]  # block -> what tells it from another one
    held_out: list[int]


def settle(
    dataset: store.Dataset, config: ConfigDict, model: Model, shards: Sharding, fit: Fit, folder: Path,
    writes: bool = True,
) -> TrainingData:  # fmt: skip
    """The data of a run whose folder for it is `folder`: as the run began, or settled now.

    `shards` says where the shards of the recordings lie.
    """
    begun = (folder / checkpoints.CONFIG_FILE).exists()
    if not begun:
        split = divide(dataset, config.held_out, config.seed)
    else:
        kept, tree = checkpoints.load_weights(folder)
        split = go_on(dataset, Split(**kept), config.take_new_streams)
    cut = stream.Cut(model.history, model.horizon, round(config.drop_seconds * model.control_hz))
    pieces = stream.deal(dataset, list(map(int, split.blocks)), split.held_out, config.shards)
    per_round = config.recipe.batch * config.steps_per_call
    feed = stream.Feed(dataset, pieces, cut, shards, config.memory_gb * 1e9, per_round, config.seed)
    if begun:
        names = [field.name for field in dataclasses.fields(Normalizer)]
        statistics = serialization.from_state_dict(Normalizer(**dict.fromkeys(names)), tree)
    else:
        statistics = fit(feed.at(0))
    if writes:
        checkpoints.save_weights(folder, dataclasses.asdict(split), statistics)
    held_out = functools.partial(read_held_out, dataset, split, cut, config.held_out_windows)
    return TrainingData(feed, held_out, statistics)


def divide(dataset: store.Dataset, share: float, seed: int) -> Split:
    """Draws `share` of the streams to be held out, at least one."""
    streams = stream_numbers(dataset)
    order = np.random.default_rng(seed).permutation(len(streams))
    kept = max(1, round(share * len(order)))
    if kept == len(order):
        raise ValueError(f"dataset {dataset.folder} has {len(order)} streams: too few to hold {kept} of them out")
    return Split(fingerprints(dataset), streams[order[:kept]].tolist())


def go_on(dataset: store.Dataset, begun: Split, take_new: bool) -> Split:
    """The split a run goes on with. Raises ValueError if what it began with is there no more."""
    now = fingerprints(dataset)
    for block, fingerprint in begun.blocks.items():
        if now.get(block) != fingerprint:
            fault = "is another now" if block in now else "is gone"
            raise ValueError(
                f"the dataset {dataset.folder} is not the one that this training began with: block {block} {fault}; "
                "bring it back, or choose another --config.run_dir"
            )
    new = len(now) - len(begun.blocks)
    if new and take_new:
        return dataclasses.replace(begun, blocks=now)
    if new:
        print(
            f"note: {dataset.folder} has {new * dataset.layout.streams} streams more than when this training began; "
            "it goes on without them (--config.take_new_streams=True: with them)",
            file=sys.stderr,
        )
    return begun


def read_held_out(dataset: store.Dataset, split: Split, cut: stream.Cut, most: int) -> windows.Recording:
    """The held-out streams on the device, `most` of them: no more than windows are drawn from them."""
    numbers = stream_numbers(dataset)
    places = np.flatnonzero(np.isin(numbers, split.held_out[:most]))
    parts = [dataset.read(["q", "target", "mode", "flags"], slice(place, place + 1)) for place in places]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return windows.recording(columns, cut.history, cut.horizon, cut.drop_rows)


def stream_numbers(dataset: store.Dataset) -> np.ndarray:
    """The number (streams,) in the whole dataset of each stream that is read from it."""
    size = dataset.layout.streams
    return (np.asarray(dataset.blocks)[:, None] * size + np.arange(size)).reshape(-1)


def fingerprints(dataset: store.Dataset) -> dict[str, str]:
    """For each committed block what tells it from one recorded otherwise: how it was made, and its files' sizes."""
    sizes = {block: sorted(marker["files"].items()) for block, marker in dataset.markers.items()}
    texts = {block: to_json([dataset.attributes, files]) for block, files in sizes.items()}
    return {str(block): hashlib.sha256(text.encode()).hexdigest()[:16] for block, text in texts.items()}
