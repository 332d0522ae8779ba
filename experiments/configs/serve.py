"""Settings of serve.py: which controller, for whom.

Reproduces: see the script. Time: 10 s to compile, then until Ctrl-C (smoke: 5 s). Expected: 5 ms an answer.
Command: python experiments/serve.py --config=experiments/configs/serve.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {"smoke": dict(seconds=5.0), "laptop": dict(seconds=0.0), "gpu": dict(seconds=0.0)}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    config = ConfigDict()
    config.run_dir = "runs/serve"  # folder of the run; statistics go to its serve/
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.controller = "shipped"  # run, shipped or a folder: see dexgen_jax/pretrained
    config.address = "tcp://127.0.0.1:5555"  # where to listen; any address but this machine's own needs a token
    config.token_file = ""  # file with a secret of at least 16 characters that every message must carry; mode 600
    config.max_clients = 16  # robots at a time, each with a memory of its own
    config.seconds = SIZES[size]["seconds"]  # s to serve for; 0 is until Ctrl-C
    return config
