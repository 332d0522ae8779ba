"""Makes a dataset of a robot's log in the format of LeRobot (LeRobotDataset v3): data of a laboratory, to learn from.

Reproduces: nothing in the paper, whose data are all simulated.
Time: about a second for 100,000 frames.
Expected: a dataset with its card; a log with a value that cannot be is refused with its frame and column.
Command: python experiments/import_log.py --config.folder=/data/log --config.dataset=/data/rows --config.mode=default
Then: python experiments/train_controller.py --config.also=/data/rows ...
"""

import artefacts
import dataset_files
import launch
from ml_collections import ConfigDict

from dexgen_jax.controller.model import MODES
from dexgen_jax.dataset import lerobot_import
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Reads the log whole, checks it, and writes it in streams like those of recordings it shall stand beside."""
    if not config.folder:
        raise ValueError("no log to import: name its folder with --config.folder=FOLDER")
    hand = artefacts.hand(config)
    where, mode = dataset_files.where(config), config.mode or None
    dataset = lerobot_import.read(config.folder, hand, where, MODES, CONTROL_HZ, config.rows, config.streams, mode)
    return dataset_files.describe(dataset, hand, config.drop_seconds, log.folder)


if __name__ == "__main__":
    launch.main(run, continues=False)
