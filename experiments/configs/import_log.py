"""Settings of import_log.py: which log, where to, and what it shows.

Reproduces: see the script. Time: seconds. Expected: a dataset with its card.
Command: python experiments/import_log.py --config.folder=/data/log --config.dataset=/data/recordings
"""

from ml_collections import ConfigDict


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings, the same for every size."""
    config = ConfigDict()
    config.run_dir = "runs/import_log"  # folder of the run
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.folder = ""  # the LeRobotDataset
    config.dataset = "run"  # where to: run, a folder, or an address such as s3://bucket/recordings
    config.mode = ""  # what all frames show: default, precision_rotation, ...; empty: the log's tasks are modes
    config.drop_seconds = 2.0  # s before a drop that do not count as kept
    config.streams = 128  # of a block; to stand beside other recordings it must be theirs
    config.rows = 320  # of a stream, likewise
    return config
