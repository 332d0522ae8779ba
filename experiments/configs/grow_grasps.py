"""Settings of grow_grasps.py: how many grasps of which objects, and how strictly they are tested.

Reproduces: arXiv:2502.04307, appendix B, at small scale (`:gpu` grows half of its 100,000 grasps per object);
`:shipped` is the library that comes with the package.
Command: python experiments/grow_grasps.py --config=experiments/configs/grow_grasps.py:laptop

Measured on 2 free cores:
    smoke   1 min
    laptop  1.4 min, 3,800 grasps of 8 objects, 37% of the candidates hold
    shipped 25 min, 90,493 grasps of 43 objects, 42% of the candidates hold
    gpu     never run
"""

from ml_collections import ConfigDict

from dexgen_jax.defaults import fill
from dexgen_jax.grasps.growth import GrowthConfig
from dexgen_jax.objects import catalog

SIZES = {
    "smoke": dict(grasps_per_object=150, objects="cube_55,sphere_64,cylinder_56_60", pictures=3),
    "laptop": dict(grasps_per_object=400, objects="starter"),
    "shipped": dict(grasps_per_object=2000, objects=",".join((*catalog.TRAIN, *catalog.HELD_OUT))),
    "gpu": dict(grasps_per_object=50_000, objects="train"),
}
# What each maker proposes in a batch, and how many of those that pass its geometric checks physics tries.
BATCHES = {
    "smoke": dict(cup=(96, 96), contacts=(64, 16), search=(160, 48)),
    "gpu": dict(cup=(4096, 4096), contacts=(4096, 1024), search=(10240, 3072)),
}


def get_config(size: str = "laptop") -> ConfigDict:
    config = ConfigDict()
    config.run_dir = f"runs/{size}"  # folder of the run, the same in every stage; the files go to its grasps/
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.objects = ""  # a set of the catalogue ('train', 'held_out', 'starter') or object names with commas
    config.grasps_per_object = 0  # stop an object once it has this many
    config.min_share = 0.004  # an object of which less than this share of the candidates holds is given up
    config.pictures = 6  # grasps of each object on the page
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.growth = fill(GrowthConfig(), BATCHES.get(size))  # nested ones too, e.g. --config.growth.settle.squeeze=0.4
    config.update(SIZES[size])
    return config
