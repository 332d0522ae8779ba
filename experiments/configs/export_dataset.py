"""Settings of export_dataset.py: which dataset, and where to.

Reproduces: see the script. Time: seconds. Expected: a folder that lerobot opens.
Command: python experiments/export_dataset.py --config.dataset=runs/laptop/dataset --config.folder=recordings
"""

from ml_collections import ConfigDict


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings, the same for every size."""
    config = ConfigDict()
    config.run_dir = "runs/export_dataset"  # folder of the run
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.dataset = "run"  # run, a folder, or an address such as s3://bucket/recordings
    config.folder = ""  # where to, a folder that is not there yet; empty: export_dataset/lerobot in the run folder
    return config
