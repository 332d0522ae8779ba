"""`load(name, ...)`: tasks by name, with their settings overridden by dotted names."""

import dataclasses
import difflib
from typing import Any

from brax.envs.base import Env

from dexgen_jax.envs.anygrasp import Anygrasp, AnygraspConfig
from dexgen_jax.envs.fine_rotation import FineRotation, FineRotationConfig
from dexgen_jax.envs.free_motion import FreeMotion, FreeMotionConfig
from dexgen_jax.grasps.library import GraspLibrary
from dexgen_jax.physics.engine import Engine

TASKS: dict[str, tuple[type[Env], type]] = {
    "anygrasp": (Anygrasp, AnygraspConfig),
    "fine_rotation": (FineRotation, FineRotationConfig),
    "free_motion": (FreeMotion, FreeMotionConfig),
}
MODES = {"anygrasp": "default", "fine_rotation": "precision_rotation", "free_motion": "free_motion"}  # labels of data


def load(name: str, overrides: dict[str, Any] | None = None, *, engine: Engine, library: GraspLibrary) -> Env:
    """Builds a task, e.g. `load('anygrasp', {'randomization.joint_noise': 0.0}, engine=..., library=...)`.

    Raises ValueError naming the nearest tasks or settings when there is none of that name.
    """
    if name not in TASKS:
        raise ValueError(f"no task named {name!r}; {_nearest(name, TASKS)}")
    task, config = TASKS[name]
    return task(override(config(), overrides or {}), engine, library)


def override(config: Any, overrides: dict[str, Any]) -> Any:
    """Returns a copy of a (nested) frozen dataclass with dotted fields replaced.

    Nested dictionaries work too. Raises ValueError naming the nearest fields for one that does not exist.
    """
    for path, value in overrides.items():
        name, _, rest = path.partition(".")
        fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        if name not in fields:
            raise ValueError(f"{type(config).__name__} has no setting {name!r}; {_nearest(name, fields)}")
        if dataclasses.is_dataclass(fields[name]):
            value = override(fields[name], {rest: value} if rest else dict(value))
        elif rest:
            raise ValueError(f"{type(config).__name__}.{name} has no setting {rest!r}: it is a plain value")
        elif isinstance(fields[name], tuple):
            value = tuple(value)
        config = dataclasses.replace(config, **{name: value})
    return config


def _nearest(name: str, known: dict) -> str:
    near = difflib.get_close_matches(name, known)
    return f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(known)}"
