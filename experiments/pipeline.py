"""The whole chain in one run folder: grasps, expert, dataset, controller, evaluation.

Reproduces: DexterityGen (arXiv:2502.04307) end to end, on real physics, at the scale of the chosen size.
Time and expected figures: see experiments/configs/pipeline.py. Started again, it continues where it stopped.
Command: python experiments/pipeline.py --config=experiments/configs/pipeline.py:laptop --config.run_dir=runs/demo
"""

import gc
import importlib
import itertools
from pathlib import Path

import artefacts
import jax
import launch
import settings
from ml_collections import ConfigDict

from dexgen_jax import pretrained
from dexgen_jax.hand import registry
from dexgen_jax.run_log import RESULT_FILE, RunLog

MAKERS = {"grasps": "grow_grasps", "expert": "anygrasp_ppo"}  # what can be taken from elsewhere, and who makes it


def run(config: ConfigDict, log: RunLog) -> dict:
    """Runs every stage that is not done yet; returns the results of all by stage folder."""
    stages = stage_configs(config)
    settings.refuse_chain(stages)
    for script, stage_config in stages.items():
        launch.refuse_other_settings(stage_config, log.run_dir / launch.STAGES[script])
    refuse_gaps(log.run_dir, [launch.STAGES[script] for script in stages])
    results = {}
    for kind, script in MAKERS.items():
        if script not in stages:
            results[kind] = {"taken": config[kind], "folder": str(folder_of(kind, config))}
            print(f"{script:18}          {kind} {config[kind]}, nothing to make", flush=True)
    for script, stage_config in stages.items():
        folder = launch.STAGES[script]
        results[folder] = launch.run_stage(importlib.import_module(script).run, stage_config, folder)
        print(f"{script:18} {results[folder]['minutes']:5.1f} min  {log.run_dir / folder}", flush=True)
        jax.clear_caches()  # compiled programs, and the arrays they hold on to, would add up over the stages
        gc.collect()
    return results


def stage_configs(config: ConfigDict) -> dict[str, ConfigDict]:
    """The config of each stage to run, by script, with the pipeline's run folder, seed, hand and what it takes."""
    taken = [kind for kind in MAKERS if config[kind] != "run"]
    for kind in taken:
        if not (folder := folder_of(kind, config)).is_dir():
            raise FileNotFoundError(f"no {kind} in {folder}; make it here with --config.{kind}=run")
    if "expert" in taken:
        artefacts.expert(config)  # refuses one of another hand now, and not when grasps are grown
    stages = {}
    for script in launch.STAGES:
        if script in (MAKERS[kind] for kind in taken):
            continue
        stage = ConfigDict(config[script].to_dict())
        stage.run_dir, stage.seed, stage.hand = config.run_dir, config.seed, config.hand
        for kind in taken:
            if stage.get(kind) == "run":
                stage[kind] = config[kind]
        stages[script] = stage.lock()
    return stages


def folder_of(kind: str, config: ConfigDict) -> Path:
    """Where the grasps, or the expert, of the pipeline's hand lie."""
    return pretrained.find(kind, config[kind], config.run_dir, registry.load(config.hand).name)


def refuse_gaps(run_dir: Path, folders: list[str]) -> None:
    """Refuses a run folder in which a stage is done but the one before is not: it was made from other inputs."""
    for before, after in itertools.pairwise(run_dir / folder for folder in folders):
        if (after / RESULT_FILE).exists() and not (before / RESULT_FILE).exists():
            raise ValueError(f"{after} is done but {before}, which it was made from, is not: delete {after} too")


if __name__ == "__main__":
    launch.main(run, again=True)
