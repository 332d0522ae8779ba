"""Says what a dataset holds: hours, drops, goals, shares of modes and objects, size, provenance; writes its card anew.

Reproduces: nothing in the paper, which gives the number of transitions alone (arXiv:2502.04307, appendix A).
Time: about a second for a million transitions.
Expected: one JSON object, and README.md with two plots beside the recordings.
Command: python experiments/describe_dataset.py --config.dataset=runs/laptop/dataset
"""

import artefacts
import dataset_files
import launch
from ml_collections import ConfigDict

from dexgen_jax.dataset import store
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Counts what is committed so far; writers may be at work meanwhile."""
    hand = artefacts.hand(config)
    dataset = store.open_dataset(dataset_files.where(config), hand)
    return dataset_files.describe(dataset, hand, config.drop_seconds, log.folder)


if __name__ == "__main__":
    launch.main(run, continues=False)
