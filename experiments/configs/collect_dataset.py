"""Settings of collect_dataset.py: how much is recorded, and how the expert is varied and disturbed.

Reproduces: arXiv:2502.04307, appendix A, at small scale (the paper has 1e10 transitions; `:gpu` 2e8).
Command: python experiments/collect_dataset.py --config=experiments/configs/collect_dataset.py:laptop

Measured on 2 cores:
    smoke   10 s
    laptop  1.3 min, 327,680 transitions, 9.1 hours of manipulation
    shipped 57 min beside other work, 10,485,760 transitions, 291 hours; the data of the shipped controller, but for
            its fine rotation, which was by the expert before the present one
    gpu     never run
"""

from ml_collections import ConfigDict

from dexgen_jax.dataset.collect import BehaviourConfig
from dexgen_jax.defaults import fill
from dexgen_jax.experts.lookahead import LookaheadConfig
from dexgen_jax.grasps.library import GraphConfig

SIZES = {
    "smoke": dict(objects="cube_55,sphere_64,cylinder_56_60"),
    "laptop": dict(objects="starter"),
    "shipped": dict(
        tasks=("anygrasp", "fine_rotation", "anygrasp", "anygrasp", "free_motion", "anygrasp"),
        objects="train",
        expert="shipped",
        grasps="shipped",
    ),
    "gpu": dict(objects="train"),
}
LAYOUT = {
    "smoke": dict(blocks=1, streams=64, rows=150),
    "laptop": dict(blocks=8, streams=128, rows=320),
    "shipped": dict(blocks=256, streams=128, rows=320),
    "gpu": dict(blocks=64, streams=8192, rows=400),
}
NEIGHBOURS = {"smoke": 8, "laptop": 6, "shipped": 6}  # goals to draw from; few in a sparse library


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size."""
    config = ConfigDict()
    config.run_dir = f"runs/{size}"  # folder of the run, the same in every stage
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.tasks = ("anygrasp",)  # what is recorded: block i is of the i-th, round and round; see the script
    config.expert = "run"  # the expert of anygrasp: run, shipped, shipped:NAME or a folder, see dexgen_jax/pretrained
    config.grasps = "run"  # run, shipped or a folder
    config.objects = ""  # a set of the catalogue or object names with commas
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.dataset = "run"  # where the recordings go: run, a folder, or an address such as s3://bucket/recordings
    config.writer = 0  # in a bucket: which of the writers this is, from 0; in a folder they share blocks out themselves
    config.writers = 1  # in a bucket: how many there are, each with a number of its own
    config.threads = 0  # of the native backend; 0 is all cores
    config.drop_seconds = 2.0  # s before a drop that do not count as kept in the result (nothing is deleted)
    config.update(SIZES[size])

    config.fine_rotation = ConfigDict()  # what this task has of its own, if it is recorded
    config.fine_rotation.expert = "shipped:fine_rotation"  # its expert
    config.fine_rotation.objects = "rod_30_150,rod_36_110,cylinder_40_90,screwdriver_34_80_50"  # elongated ones

    config.layout = ConfigDict(LAYOUT[size])  # blocks, written one by one: a killed run loses one; see `store.Layout`
    config.behaviour = fill(BehaviourConfig())  # stream i takes the i-th entry of each tuple, round and round
    config.lookahead = fill(LookaheadConfig())  # how widely and how far the expert looks ahead
    config.fine_rotation.lookahead = fill(LookaheadConfig())  # likewise, of its expert
    config.graph = fill(GraphConfig(), {"neighbours": NEIGHBOURS[size]} if size in NEIGHBOURS else {})
    config.env = ConfigDict()  # changes to the tasks the experts were trained in (fields that all of them have)
    config.env.episode_steps = 200  # control steps until truncation
    return config
