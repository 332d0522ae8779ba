"""Settings of describe_dataset.py: which dataset.

Reproduces: see the script. Time: seconds. Expected: one JSON object, and a card beside the dataset.
Command: python experiments/describe_dataset.py --config.dataset=runs/laptop/dataset
"""

from ml_collections import ConfigDict


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings, the same for every size."""
    config = ConfigDict()
    config.run_dir = "runs/describe"  # folder of the run; the card of a dataset in a bucket goes there
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.dataset = "run"  # run, a folder, or an address such as s3://bucket/recordings
    config.drop_seconds = 2.0  # s before a drop that do not count as kept
    return config
