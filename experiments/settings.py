"""What makes a setting usable, so that a chain is refused at its start and not by its third stage, hours later.

Only what can be known without the files of the stages before. Each error names the setting, its value and the limit.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import command_line
from ml_collections import ConfigDict

from dexgen_jax import pretrained

MOST_SEED = 2**31 - 2  # seeds are also used plus one; above, JAX would take another number than the one given
# Settings by the last part of their name. Whole numbers of at least one:
_COUNTS = frozenset(
    "iterations log_every checkpoint_every eval_envs eval_steps grasps_per_object num_envs steps_per_call fit_windows "
    "held_out_windows candidates blocks streams rows width height traced depth encoder_width encoder_layers "
    "inverse_width inverse_blocks horizon diffusion_steps sampling_steps steps batch warmup epochs minibatches "
    "neighbours episode_steps hold_steps goal_steps max_clients shards writers".split()
)
_NOT_NEGATIVE = frozenset(
    "threads writer pictures history drop_seconds seconds ready reading_noise reading_offset weight_decay noise "
    "strengths".split()
)
_POSITIVE = frozenset(
    "learning_rate critic_learning_rate target_kl clean_limit action_scale rate_hz memory_gb hold max_age "
    "timeout".split()
)
# Settings, by script, that name what it makes.
_MADE = {("collect_dataset", "dataset"), ("import_log", "dataset"), ("export_dataset", "folder")}
_NO_PATH = {"start_from": "none", "dataset": "none", "evaluation": "none", "token_file": "", "also": ""}  # none wanted
_SHARES = frozenset("held_out noise_share ema min_share eta push_probability".split())


def refuse(config: ConfigDict, script: str, prefix: str = "") -> None:
    """Raises ValueError or FileNotFoundError for the first setting of `script` that its run would end at.

    `prefix` stands before the names in the error, as in 'train_controller.'.
    """
    hand = _hand_name(config)
    for name, value in command_line.flatten(config.to_dict()).items():
        leaf = name.rpartition(".")[2]
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, int | float) and not isinstance(number, bool):
                _refuse_number(f"config.{prefix}{name}", leaf, number)
        if name in command_line.PATHS and isinstance(value, str) and (script, name) not in _MADE:
            _refuse_path(f"config.{prefix}{name}", value, config.run_dir, hand)
    try:
        for check in _CHECKS.get(script, ()):
            check(config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{script}: {error}") from error


def refuse_chain(stages: dict[str, ConfigDict]) -> None:
    """Refuses at the start what one of the stages would refuse when its turn comes."""
    for script, stage in stages.items():
        refuse(stage, script, prefix=f"{script}.")
        check = getattr(importlib.import_module(script), "check", None)
        if check is not None:
            check(stage)
    grown = stages.get("grow_grasps", ConfigDict())  # none are grown where they are taken from elsewhere
    if "objects" in grown:
        for script, stage in stages.items():
            for user in (stage, *(stage[task] for task in stage.get("tasks", ()) if task in stage)):
                _refuse_objects(f"{script}.objects", user, stage, grown)


def _refuse_objects(name: str, user: ConfigDict, stage: ConfigDict, grown: ConfigDict) -> None:
    """Refuses objects of a later `stage`, those of its `user`, that will have no grasps in this run, or too few."""
    if "objects" not in user or stage.get("grasps", "run") != "run" or user is grown:
        return
    from dexgen_jax.objects import catalog

    there = Path(stage.run_dir) / "grasps"
    for thing in catalog.names(user.objects):
        if thing not in catalog.names(grown.objects) and not (there / f"{thing}.npz").exists():
            raise ValueError(f"config.{name} has {thing!r}, of which config.grow_grasps.objects has no grasps made")
    neighbours = stage.get("graph", {}).get("neighbours", 0)
    if neighbours >= grown.grasps_per_object:
        raise ValueError(
            f"config.{name.partition('.')[0]}.graph.neighbours is {neighbours}: it must be less than "
            f"config.grow_grasps.grasps_per_object, {grown.grasps_per_object}"
        )


def _refuse_number(name: str, leaf: str, value: float) -> None:
    rules: list[tuple[bool, bool, str]] = [
        (leaf == "seed", 0 <= value <= MOST_SEED, f"a whole number from 0 to {MOST_SEED}"),
        (leaf in _COUNTS, value >= 1, "at least 1"),
        (leaf in _NOT_NEGATIVE, value >= 0, "at least 0"),
        (leaf in _POSITIVE, value > 0, "above 0"),
        (leaf in _SHARES, 0 <= value <= 1, "from 0 to 1"),
        (True, math.isfinite(value), "a finite number"),
    ]
    for applies, holds, wanted in rules:
        if applies and not holds:
            raise ValueError(f"{name} is {value}: it must be {wanted}")


def _refuse_path(name: str, value: str, run_dir: str, hand: str) -> None:
    if name.endswith(".run_dir") and not value:
        raise ValueError(f"{name} is empty: name the folder that the run is written to")
    if "://" in value and name.rpartition(".")[2] in ("dataset", "also"):
        from dexgen_jax.dataset import places

        places.at(value)  # refuses an address that is none
        return
    if "://" in value:
        raise ValueError(f"{name} is {value!r}: files are written on this machine; mount the bucket, and name a folder")
    leaf = name.rpartition(".")[2]
    kind = "expert" if leaf == "start_from" else leaf
    if _NO_PATH.get(leaf) == value:
        return
    try:
        own = None if leaf == "start_from" else run_dir  # a training does not start from itself
        folder = pretrained.find(kind, value, own, hand) if kind in pretrained.KINDS else Path(value)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    made_here = leaf == "run_dir" or folder.is_relative_to(run_dir)
    if not made_here and not folder.exists():
        raise FileNotFoundError(f"{name} is {value!r}, and there is no such file or folder")


def _hand_name(config: ConfigDict) -> str:
    """The hand of a stage, which must exist."""
    from dexgen_jax.hand import registry

    return registry.load(config.get("hand", pretrained.FIRST_HAND)).name


def _objects(config: ConfigDict) -> None:
    from dexgen_jax.objects import catalog

    for which in (config.get("objects"), config.get("held_out"), *config.get("sets", ())):
        if isinstance(which, str):  # a share of the streams may be held out, too
            catalog.names(which)


def _engine(config: ConfigDict) -> None:
    from dexgen_jax.physics import engine

    if config.get("engine", "auto") not in engine.BACKENDS:
        raise ValueError(f"no physics backend {config.engine!r}; choose one of {', '.join(engine.BACKENDS)}")


def _task(config: ConfigDict) -> None:
    from dexgen_jax.defaults import override
    from dexgen_jax.envs import registry
    from dexgen_jax.experts import lookahead
    from dexgen_jax.grasps import goals

    name = config.get("task", "anygrasp")
    if name not in registry.TASKS:
        raise ValueError(f"no task named {name!r}; there are: {', '.join(registry.TASKS)}")
    override(registry.TASKS[name][1](), config.get("env", ConfigDict()).to_dict())
    override(goals.GraphConfig(), config.get("graph", ConfigDict()).to_dict())
    override(lookahead.LookaheadConfig(), config.get("lookahead", ConfigDict()).to_dict())


def _task_of_an_expert(config: ConfigDict) -> None:
    """The expert's own task is known only with the expert: some task must have these settings."""
    from dexgen_jax.envs import registry

    refusals = []
    for name in registry.TASKS:
        try:
            return _task(ConfigDict({**config.to_dict(), "task": name}))
        except ValueError as error:
            refusals.append(error)
    raise refusals[0]


def _learner(config: ConfigDict) -> None:
    import jax

    from dexgen_jax.defaults import override
    from dexgen_jax.experts import networks, ppo, training

    if "ppo" in config:
        training.share(override(ppo.PPOConfig(), config.ppo.to_dict()), len(jax.devices()))
        override(networks.NetworkConfig(), config.network.to_dict())


def _growth(config: ConfigDict) -> None:
    from dexgen_jax.defaults import override
    from dexgen_jax.grasps import growth

    override(growth.GrowthConfig(), config.get("growth", ConfigDict()).to_dict())


def _recording(config: ConfigDict) -> None:
    from dexgen_jax.dataset import collect, store

    if "layout" in config:
        collect.BehaviourConfig(**config.behaviour.to_dict())
        store.Layout(**config.layout.to_dict())
    for task in config.get("tasks", ()):
        own = config.get(task, ConfigDict())  # what this task has of its own
        _task(ConfigDict({**config.to_dict(), **own.to_dict(), "task": task}))
        _objects(own)
        if "expert" in own:
            _refuse_path(f"config.{task}.expert", own.expert, config.run_dir, _hand_name(config))


def _controller(config: ConfigDict) -> None:
    import jax

    from dexgen_jax.controller import model, parallel, training

    if "recipe" in config:
        recipe = training.TrainingConfig(**config.recipe)
        model.Model(**config.model)
        parallel.refuse_uneven(recipe.batch, config.shards, len(jax.devices()))
        if recipe.warmup >= recipe.steps:
            raise ValueError(f"recipe.warmup is {recipe.warmup}: it must be less than recipe.steps, {recipe.steps}")
        if config.held_out == 1:
            raise ValueError("held_out is 1: then nothing is left to learn from")


def _assistance(config: ConfigDict) -> None:
    from dexgen_jax.controller import model
    from dexgen_jax.evaluation import operators
    from dexgen_jax.physics.engine import CONTROL_HZ

    if round(config.get("seconds", 1.0) * CONTROL_HZ) < 1:
        raise ValueError(f"seconds is {config.seconds}: it must be at least one control step, {1 / CONTROL_HZ} s")
    for name in (*config.get("references", ()), *config.get("operators", ())):
        operators.parse(name)
    if config.get("mode", model.MODES[0]) not in model.MODES:
        raise ValueError(f"no mode {config.mode!r}; there are: {', '.join(model.MODES)}")


def _operators(config: ConfigDict) -> None:
    from dexgen_jax.evaluation import operators
    from dexgen_jax.viz import session, wrist

    for name in config.operators:
        operators.parse(name)
    if config.wrist not in (known := (*wrist.POSES, wrist.TUMBLE)) or config.help not in session.HELP:
        raise ValueError(
            f"wrist is {config.wrist!r} and help {config.help!r}: a wrist is one of {', '.join(known)}, and help is "
            f"one of {', '.join(session.HELP)}"
        )


_CHECKS: Mapping[str, tuple[Callable[[Any], None], ...]] = {
    "grow_grasps": (_objects, _engine, _growth),
    "anygrasp_ppo": (_objects, _engine, _task, _learner),
    "collect_dataset": (_objects, _engine, _recording),
    "train_controller": (_controller,),
    "figure8": (_objects, _engine, _task_of_an_expert, _assistance),
    "evaluate_assist": (_objects, _engine, _task_of_an_expert, _assistance),
    "evaluate_expert": (_objects, _engine, _task_of_an_expert, _assistance),
    "teleoperate": (_objects, _engine, _task, _operators),
    "view": (_objects, _engine, _task, _operators),
}
