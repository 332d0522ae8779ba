"""Settings of anygrasp_ppo.py for fine rotation: elongated objects turn about their axis at a commanded speed.

Reproduces: the fine-grained manipulation of arXiv:2502.04307, section III-B (mode "precision rotation").
Command: python experiments/anygrasp_ppo.py --config=experiments/configs/fine_rotation.py:laptop
A new policy learns to hold first; `:shipped` goes on from the Anygrasp expert, which turns from the first step on.

Measured on 2 cores:
    smoke   30 s
    laptop  30 min; no result of this size is recorded
    shipped 9 min of one core, 0.6 M control steps; see the card of shipped:fine_rotation
    gpu     never run
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from dexgen_jax.defaults import fill
from dexgen_jax.envs.fine_rotation import FineRotationConfig

SIZES = ("smoke", "laptop", "shipped", "gpu")
ELONGATED = "rod_30_150,rod_36_110,cylinder_40_90,screwdriver_34_80_50"


def get_config(size: str = "laptop") -> ConfigDict:
    anygrasp = runpy.run_path(str(Path(__file__).with_name("anygrasp_ppo.py")))["get_config"]
    config = anygrasp(size)  # networks, PPO, grasps and evaluation as there
    config.task = "fine_rotation"
    config.run_dir = "runs/fine_rotation"  # folder of the run
    config.objects = "cylinder_40_90" if size == "smoke" else ELONGATED
    changes = {"reward.success": 5.0}  # a turn is less than a goal of Anygrasp
    if size == "shipped":
        config.start_from, config.iterations, changes["sees_all"] = "shipped", 39, True
    config.env = fill(FineRotationConfig(), changes)
    return config
