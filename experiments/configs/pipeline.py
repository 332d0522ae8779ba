"""Settings of pipeline.py: the whole chain, composed of the settings of its five stages.

Reproduces: DexterityGen (arXiv:2502.04307) from grasps to an assisted operator, at the scale of the size.
Command: python experiments/pipeline.py --config=experiments/configs/pipeline.py:laptop --config.run_dir=runs/demo

Measured on 2 cores:
    smoke   4 min, everything learned from nothing
    laptop  from the shipped grasps and expert. With grasps of its own, as in `make demo`, 11 min on free cores, and the
            noisy operator holds 4.7 times as long (2.6 to 9.1)
    gpu     never run: paper scale

A value of one stage: `--config.train_controller.KEY=VALUE`. Run folder, hand and seed are the pipeline's own.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

STAGES = ("grow_grasps", "anygrasp_ppo", "collect_dataset", "train_controller", "evaluate_assist")
SIZES = {
    "smoke": dict(grasps="run", expert="run"),
    "laptop": dict(grasps="shipped", expert="shipped"),
    "gpu": dict(grasps="run", expert="run"),
}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    config = ConfigDict()
    config.run_dir = f"runs/{size}"  # folder of the run; each stage has its folder inside
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0  # of every stage
    config.grasps = SIZES[size]["grasps"]  # run: grown here; shipped or a folder: those
    config.expert = SIZES[size]["expert"]  # run: trained here; shipped, shipped:NAME or a folder: that one
    for stage in STAGES:
        config[stage] = _stage_config(stage, size)
    return config


def _stage_config(stage: str, size: str) -> ConfigDict:
    config = runpy.run_path(str(Path(__file__).with_name(f"{stage}.py")))["get_config"](size)
    del config.run_dir, config.seed, config.hand  # the pipeline sets them: a value given for one stage would be ignored
    if stage == "anygrasp_ppo":
        del config.play  # the pipeline trains
    return config
