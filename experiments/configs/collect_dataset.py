"""Settings of collect_dataset.py: how much is recorded, and how the expert is varied and disturbed.

Reproduces: arXiv:2502.04307, appendix A, at small scale (the paper has 1e10 transitions; `:gpu` 2e8).
Time on 2 cores: smoke 10 s, laptop 1 min. Expected: see the script.
Command: python experiments/collect_dataset.py --config=experiments/configs/collect_dataset.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {
    "smoke": dict(objects="cube_55,sphere_64,cylinder_56_60", blocks=1, streams=64, rows=150),
    "laptop": dict(objects="starter", blocks=8, streams=128, rows=320),
    "gpu": dict(objects="starter", blocks=64, streams=8192, rows=400),
}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    scale = SIZES[size]
    config = ConfigDict()
    config.run_dir = "runs/dataset"  # folder of the run; the recordings go to its dataset/
    config.seed = 0
    config.tasks = ("anygrasp",)  # what is recorded: block i is of the i-th, round and round; see the script
    config.expert = ""  # folder of the expert of anygrasp; empty is <run_dir>/expert
    config.grasps = ""  # folder of grasp files; empty is <run_dir>/grasps
    config.objects = scale["objects"]  # a set of the catalogue or object names with commas
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.drop_seconds = 2.0  # s before a drop that do not count as kept in the result (nothing is deleted)

    config.fine_rotation = ConfigDict()  # what this task has of its own, if it is recorded
    config.fine_rotation.expert = "runs/fine_rotation/expert"  # folder of its expert
    config.fine_rotation.objects = "rod_30_150,rod_36_110,cylinder_40_90,screwdriver_34_80_50"  # elongated ones

    config.layout = ConfigDict()
    config.layout.blocks = scale["blocks"]  # written one by one: what a killed run loses is one of them
    config.layout.streams = scale["streams"]  # environments recorded at once, in each block
    config.layout.rows = scale["rows"]  # control steps of 0.1 s of every stream

    config.behaviour = ConfigDict()  # stream i takes the i-th entry of each tuple, round and round
    config.behaviour.noise = (0.0, 0.5, 1.0)  # standard deviation of the noise on disturbed rows, action units
    config.behaviour.gain = (1.0, 1.0, 0.6, 1.0, 1.5)  # factor on the expert's action: calmer and faster experts
    config.behaviour.noise_share = 0.25  # share of a disturbed stream's rows that have noise

    config.graph = ConfigDict()
    config.graph.neighbours = {"smoke": 8, "laptop": 6, "gpu": 16}[size]  # goals to draw from; few in a sparse library
    config.graph.min_angle = 0.55  # rad: goals lie outside the success tolerance
    config.env = ConfigDict()  # changes to the tasks the experts were trained in (fields that all of them have)
    config.env.episode_steps = 200  # control steps until truncation
    return config
