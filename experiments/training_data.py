"""Which streams a training learns from, which are held out, and its statistics: settled once, and kept with the run.

    <run_dir>/controller/data/     the blocks of the dataset that the run began with, held-out streams, normaliser

A dataset may grow, or be made anew, between two starts of a run. Split and fitted again, streams that were learned from
would be held out and measured as if they were new, and the networks would see other units than they learned in.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from flax import serialization
from ml_collections import ConfigDict

from dexgen_jax import checkpoints
from dexgen_jax.controller.model import Model
from dexgen_jax.dataset import store, windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.run_log import to_json

Fit = Callable[[windows.Recording], Normalizer]


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a training loop needs of its dataset."""

    train: windows.Recording
    held_out: windows.Recording
    statistics: Normalizer


@dataclasses.dataclass(frozen=True)
class Split:
    """Streams by their number in the dataset, which does not change when other blocks come."""

    blocks: dict[str, str]  # block -> what tells it from another one
    held_out: list[int]


def settle(
    dataset: store.Dataset, config: ConfigDict, model: Model, fit: Fit, folder: Path, writes: bool = True
) -> TrainingData:
    """The data of a run whose folder for it is `folder`: as the run began, or settled now."""
    begun = (folder / checkpoints.CONFIG_FILE).exists()
    if not begun:
        split = divide(dataset, config.held_out, config.seed)
    else:
        kept, tree = checkpoints.load_weights(folder)
        split = go_on(dataset, Split(**kept), config.take_new_streams)
    train, held_out = read(dataset, split, config.drop_seconds, model)
    if begun:
        names = [field.name for field in dataclasses.fields(Normalizer)]
        statistics = serialization.from_state_dict(Normalizer(**dict.fromkeys(names)), tree)
        statistics = jax.tree.map(jax.numpy.asarray, statistics)
    else:
        statistics = fit(train)
    if writes:
        checkpoints.save_weights(folder, dataclasses.asdict(split), statistics)
    return TrainingData(train, held_out, statistics)


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
        print(f"note: {dataset.folder} has {new * dataset.layout.streams} streams more than when this training began; "
              "it goes on without them (--config.take_new_streams=True: with them)", file=sys.stderr)  # fmt: skip
    return begun


def read(dataset: store.Dataset, split: Split, drop_seconds: float, model: Model) -> list[windows.Recording]:
    """The streams to learn from and those held out, on the device."""
    columns, streams = dataset.read(["q", "target", "mode", "flags"]), stream_numbers(dataset)
    blocks = streams // dataset.layout.streams
    held_out = np.isin(streams, split.held_out)
    learned = ~held_out & np.isin(blocks, [int(block) for block in split.blocks])
    # In the order of the dataset: the same windows are drawn whatever the order in which the split was drawn.
    parts = ({name: rows[part] for name, rows in columns.items()} for part in (learned, held_out))
    drop_rows = round(drop_seconds * model.control_hz)
    return [windows.recording(part, model.history, model.horizon, drop_rows) for part in parts]


def stream_numbers(dataset: store.Dataset) -> np.ndarray:
    """The number (streams,) in the whole dataset of each stream that is read from it."""
    size = dataset.layout.streams
    return (np.asarray(dataset.blocks)[:, None] * size + np.arange(size)).reshape(-1)


def fingerprints(dataset: store.Dataset) -> dict[str, str]:
    """For each committed block what tells it from one recorded otherwise: how it was made, and its files' sizes."""
    sizes = {block: sorted(marker["files"].items()) for block, marker in dataset.markers.items()}
    texts = {block: to_json([dataset.attributes, files]) for block, files in sizes.items()}
    return {str(block): hashlib.sha256(text.encode()).hexdigest()[:16] for block, text in texts.items()}
