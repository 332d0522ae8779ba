"""Tasks by name: `load` builds everything a task needs, `make` takes an engine and a library of one's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from brax.envs.base import Env

from dexgen_jax.defaults import nearest, override
from dexgen_jax.envs.anygrasp import Anygrasp, AnygraspConfig
from dexgen_jax.envs.fine_rotation import FineRotation, FineRotationConfig
from dexgen_jax.envs.free_motion import FreeMotion, FreeMotionConfig
from dexgen_jax.grasps import library as libraries
from dexgen_jax.grasps.library import GraphConfig, GraspLibrary
from dexgen_jax.hand import registry as hands
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics.engine import Engine

TASKS: dict[str, tuple[type[Env], type]] = {
    "anygrasp": (Anygrasp, AnygraspConfig),
    "fine_rotation": (FineRotation, FineRotationConfig),
    "free_motion": (FreeMotion, FreeMotionConfig),
}
MODES = {"anygrasp": "default", "fine_rotation": "precision_rotation", "free_motion": "free_motion"}  # labels of data


def load(
    name: str,
    objects: str | Sequence[str] = "starter",
    grasps: str | Path = "shipped",
    overrides: Mapping[str, Any] | None = None,
    *,
    hand: str = "allegro",
    graph: Mapping[str, Any] | None = None,
    backend: str = "auto",
    threads: int = 0,
) -> Env:
    """Builds a task with all it needs, e.g. `load("anygrasp", objects="train", overrides={"episode_steps": 100})`.

    `objects` is a set of the catalogue or names of objects, `grasps` 'shipped' or a folder of grasp files, `hand` one
    of `hand.registry`; `overrides` and `graph` change settings of the task and of its graph of goals (`GraphConfig`).
    For `backend` and `threads` see `physics.engine.make`. Raises ValueError naming the nearest tasks, objects or
    settings for an unknown name, and both hands if the grasps are of another one.
    """
    _require(name)
    owner, names = hands.load(hand), catalog.names(objects)
    settings, task = override(GraphConfig(), graph or {}), override(TASKS[name][1](), overrides or {})
    if isinstance(task, AnygraspConfig):
        widest = task.angle_tolerance * max(1.0, task.curriculum.tolerance)
        if widest >= settings.min_angle:
            raise ValueError(
                f"goals count within {widest:.3g} rad (angle_tolerance, and curriculum.tolerance of it) and lie from "
                f"graph.min_angle = {settings.min_angle:.3g} rad on: standing still would reach them; lower the first"
            )
    library = libraries.assemble([libraries.load(grasps, thing, owner.name) for thing in names], settings)
    engine = engines.make(owner, [catalog.load(thing) for thing in names], backend, threads)
    return make(name, overrides, engine=engine, library=library)


def make(name: str, overrides: Mapping[str, Any] | None = None, *, engine: Engine, library: GraspLibrary) -> Env:
    """Builds a task around an engine and a library of one's own: another hand, other objects, other grasps."""
    _require(name)
    task, config = TASKS[name]
    return task(override(config(), overrides or {}), engine, library)


def reflection(name: str, overrides: Mapping[str, Any], hand: Hand) -> np.ndarray:
    """By what each entry of a task's `state` (d,) is multiplied if the world is reflected, see `hand.mirror`."""
    _require(name)
    task, config = TASKS[name]
    if not hasattr(task, "reflection"):
        raise ValueError(f"the task {name!r} does not say how it looks in a mirror: train an expert of {hand.name!r}")
    return task.reflection(override(config(), overrides), hand)


def _require(name: str) -> None:
    if name not in TASKS:
        raise ValueError(f"no task named {name!r}; {nearest(name, TASKS)}")
