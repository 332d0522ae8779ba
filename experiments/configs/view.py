"""Settings of view.py: what lies in the hand at the start, who commands, and where the page is.

Reproduces: see the script. Time: compiles first (smoke: then 5 s). Expected: 10 Hz.
Command: python experiments/view.py --config=experiments/configs/view.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {"smoke": dict(seconds=5.0), "laptop": dict(seconds=0.0), "gpu": dict(seconds=0.0)}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    config = ConfigDict()
    config.run_dir = "runs/view"  # folder of the run; recordings go to its view/
    config.seed = 0
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.expert = "shipped"  # run, shipped, shipped:NAME or a folder: see dexgen_jax/pretrained
    config.controller = "shipped"  # likewise
    config.grasps = "shipped"  # likewise; every object of the catalogue that has grasps there can be chosen
    config.objects = "cube_55"  # what lies in the hand at the start
    config.dataset = "none"  # whose trajectories can be shown: run, a folder, or none
    config.evaluation = "none"  # folder of an evaluation (runs/demo/evaluation) whose rows can be shown, or none
    config.operators = ("clean", "noisy 0.75", "noisy 1.5", "slow 0.5")  # that may command, the first at the start
    config.wrist = "tumble"  # how the wrist is held at the start, see dexgen_jax/viz/wrist.py
    config.help = "helped"  # at the start: helped, alone or released
    config.strength = 1.0  # how much the operator is heard: 1 is as far as it can be believed
    config.address = "http://127.0.0.1:8080"  # of the page; any address but this machine's own needs a token
    config.token_file = ""  # file with a secret of at least 16 characters that opens the page; mode 600
    config.seconds = SIZES[size]["seconds"]  # s to serve for; 0 is until Ctrl-C
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 1  # of the native backend
    config.env = ConfigDict()  # changes to the task the expert was trained in (fields of AnygraspConfig)
    return config
