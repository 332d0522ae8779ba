"""Settings of teleoperate.py: the operator's motion, the loop's rate, and the simulated hand.

Reproduces: see the script. Time on 2 cores: 20 s to compile, then 60 s (smoke 3 s). Expected: no tick missed.
Command: python experiments/teleoperate.py --config=experiments/configs/teleoperate.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {"smoke": dict(seconds=3.0), "laptop": dict(seconds=60.0), "gpu": dict(seconds=60.0)}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    config = ConfigDict()
    config.run_dir = "runs/teleoperate"  # folder of the run
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.address = "tcp://127.0.0.1:5555"  # of the server
    config.token_file = ""  # file with the server's secret, if it has one
    config.rate_hz = 10.0  # ticks a second
    config.seconds = SIZES[size]["seconds"]  # s

    config.strength = 1.0  # how much the operator is heard: 1 is as far as it can be believed
    config.released = False  # off switch: commands go straight to the hand
    config.amplitude = 0.3  # rad of the operator's wave around the grasp
    config.period = 4.0  # s of one wave
    config.tremor = 0.1  # rad, standard deviation of each joint's noise in each tick

    config.grasps = "shipped"  # run, shipped or a folder: see dexgen_jax/pretrained
    config.objects = "cube_55"  # what lies in the hand
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 1  # of the native backend
    config.graph = ConfigDict()  # changes to the goal graph, which nobody follows here
    config.env = ConfigDict()  # changes to the task (fields of AnygraspConfig)
    config.env.episode_steps = 100_000  # control steps: no time limit
    return config
