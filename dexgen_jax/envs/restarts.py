"""Episodes that somebody else begins again: Brax's wrappers put back the physics and the observation, and nothing else.

A task keeps in `info` what it needs beside the physics: joint targets, goal, world, age. At the end of an episode
`brax.envs.wrappers.training.AutoResetWrapper` puts back the first `pipeline_state` and leaves `info` as it is, so a
hand would start from its first grasp with the last episode's targets, and drop what it holds. The first step of an
episode therefore finds out by itself: the physics counts its control steps, `info` notes the count, and where they
differ the physics was put back, and `info` is put back too.

Between the reset and that step, `info` still shows the episode that ended, as it does in all of Brax's environments.
"""

from typing import Any

import jax
import jax.numpy as jnp
from brax.envs.base import State

_FIRST, _COUNT = "first_info", "control_steps"
# Never put back: noise must not repeat itself, a curriculum outlives episodes, and every step says anew if it is late.
_GOES_ON = ("rng", "level", "truncation", _FIRST)


def remember(info: dict[str, Any]) -> dict[str, Any]:
    """The `info` of a task's fresh reset, with a copy of itself."""
    info = info | {_COUNT: jnp.zeros((), jnp.int32)}
    return info | {_FIRST: {name: value for name, value in info.items() if name not in _GOES_ON}}


def remember_more(info: dict[str, Any]) -> dict[str, Any]:
    """The `info` of a fresh reset to which a wrapper added entries; unchanged around a task that remembers nothing."""
    return remember(info) if _FIRST in info else info


def own(info: dict[str, Any]) -> dict[str, Any]:
    """The entries that the task itself, or a wrapper that remembers, put into `info`."""
    names = {*_GOES_ON, *info[_FIRST]}
    return {name: value for name, value in info.items() if name in names}


def recall(state: State) -> dict[str, Any]:
    """The `info` that one environment's next step starts from: its first where the physics was put back."""
    if _FIRST not in state.info:  # a task that remembers nothing
        return state.info
    put_back = state.pipeline_state.steps != state.info[_COUNT]
    first = state.info[_FIRST]
    return state.info | jax.tree.map(
        lambda then, now: jnp.where(put_back, then, now), first, {name: state.info[name] for name in first}
    )
