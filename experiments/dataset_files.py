"""What the scripts share about datasets: where one lies, and what is said of it."""

from pathlib import Path

import artefacts
from ml_collections import ConfigDict

from dexgen_jax.controller.model import MODES
from dexgen_jax.dataset import places, store, summary
from dexgen_jax.hand.description import Hand
from dexgen_jax.viz import data_card


def where(config: ConfigDict) -> str | Path:
    """The folder, or the address in a bucket, that a stage's setting `dataset` names."""
    if places.is_bucket(config.dataset):
        return str(places.at(config.dataset))  # refuses an address that is none
    return artefacts.folder(config, "dataset")


def to_learn_from(config: ConfigDict) -> store.Dataset:
    """The recordings of a training's settings: `dataset`, and those of `also` besides."""
    dataset, hand = store.open_dataset(where(config), artefacts.hand(config)), artefacts.hand(config)
    return store.join(dataset, store.open_dataset(config.also, hand)) if config.also else dataset


def describe(dataset: store.Dataset, hand: Hand, drop_seconds: float, folder: Path) -> dict:
    """What a dataset holds; its card goes beside it, or to `folder` if it lies in a bucket."""
    found = summary.describe(dataset, drop_seconds, MODES)
    limits = {name: ends for name, *ends in zip(hand.joint_names, hand.lower, hand.upper, strict=True)}
    beside = folder if places.is_bucket(dataset.folder) else Path(dataset.folder)
    return {**found, "card": data_card.write(beside, found, limits)}
