"""What one control tick is told: each input once, with its shape, unit and default. Needs numpy alone.

An input is added here and used in `controller.act`. The contract of exported files, the messages of server and client
and the options of every `act` follow; docs/extend.md has an example.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dexgen_jax.controller import fields
from dexgen_jax.controller.fields import Field, array


@dataclasses.dataclass(frozen=True, kw_only=True)
class TickInput:
    """The inputs of one hand. What has a default is an option wherever a host says it."""

    q: ArrayLike = array("joints", "joint positions, just read [rad]")
    target: ArrayLike = array("joints", "joint targets in force [rad]")
    age: ArrayLike = array("", "age of the reading [s]", default=0.0)
    command: Any  # of `commands.Command`: a host says it in one of `commands.KINDS`, or not at all
    mode: ArrayLike = array("", "name in `modes`, or in arrays its place there", "int32", default=0, choices="modes")
    strength: ArrayLike = array(
        "", "how much the command is heard: 0 not at all, 1 as far as it is believed", default=1.0
    )
    released: ArrayLike = array("", "off switch: the command's joint targets go through", "bool", default=False)
    key: ArrayLike = array("2", "random bits, fresh in every tick", "uint32")


def options(sizes: Mapping[str, int] | None = None) -> dict[str, Field]:
    """The inputs with a default, see `fields.of`."""
    return {name: field for name, field in fields.of(TickInput, sizes).items() if field.default is not None}


def read(said: Mapping[str, Any], known: Mapping[str, Field], lists: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Returns all `known` options as the tick takes them: what a host `said`, checked, else the defaults.

    Raises ValueError for an option that is not known, and for what cannot be one's value.
    """
    if unknown := set(said) - set(known):
        raise ValueError(f"a tick has no option {min(unknown)!r}; there is {', '.join(known)}")
    defaults = {name: np.full(field.shape, field.default, field.dtype) for name, field in known.items()}
    return defaults | {name: known[name].read(value, name, lists) for name, value in said.items()}


def documented(act: Callable) -> Callable:
    """Adds the options to what `help` says of a method that takes them."""
    lines = [
        f"{name}: {field.meaning}; if nothing is said {'the first' if field.choices else field.default}"
        for name, field in options().items()
    ]
    act.__doc__ = "\n".join([inspect.cleandoc(act.__doc__ or ""), "", "Options, by name:", *lines])
    return act
