"""Exports a dataset in the format of LeRobot (LeRobotDataset v3), for people with other tools.

Reproduces: nothing in the paper; the format is what the field exchanges demonstrations in.
Time: about a second for 100,000 transitions.
Expected: a folder that lerobot's LeRobotDataset opens; the last row of each episode, which has no action, is left out.
Command: python experiments/export_dataset.py --config.dataset=runs/laptop/dataset --config.folder=recordings
"""

import artefacts
import dataset_files
import launch
from ml_collections import ConfigDict

from dexgen_jax.controller.model import MODES
from dexgen_jax.dataset import lerobot, store
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Writes what is committed; what only a simulator knows stays behind."""
    dataset = store.open_dataset(dataset_files.where(config), artefacts.hand(config))
    folder = config.folder or log.folder / "lerobot"
    return {"folder": str(folder), **lerobot.write(dataset, folder, MODES)}


if __name__ == "__main__":
    launch.main(run, continues=False)
