"""Settings of grow_grasps.py: how many grasps of which objects, and how strictly they are tested.

Reproduces: arXiv:2502.04307, appendix B, at small scale (`:gpu` grows half of its 100,000 grasps per object);
`:shipped` is the library that comes with the package.
Time on 2 free cores: smoke 1 min, laptop 2 min, shipped 25 min. Expected: a third to a half of the candidates hold.
Command: python experiments/grow_grasps.py --config=experiments/configs/grow_grasps.py:laptop
"""

from ml_collections import ConfigDict

from dexgen_jax.objects import catalog

SIZES = {
    "smoke": dict(grasps_per_object=150, objects="cube_55,sphere_64,cylinder_56_60", pictures=3),
    "laptop": dict(grasps_per_object=400, objects="starter", pictures=6),
    "shipped": dict(grasps_per_object=2000, objects=",".join((*catalog.TRAIN, *catalog.HELD_OUT)), pictures=6),
    "gpu": dict(grasps_per_object=50_000, objects="train", pictures=6),
}
# What each maker proposes in a batch, and how many of those that pass its geometric checks physics tries.
BATCHES = {
    "smoke": dict(cup=(96, 96), contacts=(64, 16), search=(160, 48)),
    "laptop": dict(cup=(256, 256), contacts=(256, 48), search=(640, 160)),
    "shipped": dict(cup=(256, 256), contacts=(256, 48), search=(640, 160)),
    "gpu": dict(cup=(4096, 4096), contacts=(4096, 1024), search=(10240, 3072)),
}


def get_config(size: str = "laptop") -> ConfigDict:
    config = ConfigDict()
    config.run_dir = "runs/grasps"  # folder of the run; the files go to its grasps/
    config.seed = 0
    config.objects = ""  # a set of the catalogue ('train', 'held_out', 'starter') or object names with commas
    config.grasps_per_object = 0  # stop an object once it has this many
    config.min_share = 0.004  # an object of which less than this share of the candidates holds is given up
    config.pictures = 0  # grasps of each object on the page
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.growth = ConfigDict()  # fields of GrowthConfig; nested ones too, e.g. --config.growth.settle.squeeze=0.4
    for name, value in BATCHES[size].items():
        config.growth[name] = value  # candidates proposed and tried per batch
    config.growth.settle = ConfigDict()
    config.growth.settle.squeeze = 0.3  # rad, largest joint target minus joint position that is kept
    config.growth.settle.shake_shift = 0.015  # m, a grasp whose object moves further while shaken is rejected
    config.growth.settle.hold_shift = 0.004  # m, likewise under gravity from any of six sides
    config.growth.propose = ConfigDict()
    config.growth.propose.min_margin = 0.0  # wrench margin asked of fingertip grasps; 0 asks for the net force only
    for name, value in SIZES[size].items():
        config[name] = value
    return config
