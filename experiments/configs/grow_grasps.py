"""Settings of grow_grasps.py: how many grasps of which objects.

Reproduces: arXiv:2502.04307, appendix A, at small scale (`:gpu` nears its 100,000 grasps per object).
Time on 2 cores: smoke 10 s, laptop 80 s. Expected: a third to a half of the candidates hold.
Command: python experiments/grow_grasps.py --config=experiments/configs/grow_grasps.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {
    "smoke": dict(grasps_per_object=150, batch=256, objects="cube_55,sphere_64,cylinder_56_60"),
    "laptop": dict(grasps_per_object=750, batch=512, objects="starter"),
    "gpu": dict(grasps_per_object=50_000, batch=8192, objects="train"),
}


def get_config(size: str = "laptop") -> ConfigDict:
    config = ConfigDict()
    config.run_dir = "runs/grasps"  # folder of the run; the files go to its grasps/
    config.seed = 0
    config.objects = ""  # a set of the catalogue ('train', 'held_out') or object names with commas
    config.grasps_per_object = 0  # stop an object once it has this many
    config.batch = 0  # candidates closed and tested at once
    config.max_batches = 2000  # per object; after these the object counts as one this hand cannot hold
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.settle = ConfigDict()
    config.settle.closing = (0.4, 1.0)  # rad, how far the fingers close past their random start
    config.settle.squeeze = 0.3  # rad, largest joint target minus joint position that is kept
    config.settle.max_shift = 0.015  # m, a grasp whose object moves further under gravity is rejected
    config.settle.max_turn = 0.4  # rad, likewise
    for name, value in SIZES[size].items():
        config[name] = value
    return config
