"""How an array of the tick is described: once, where its container declares it. Needs numpy alone.

    strength: ArrayLike = array("", "how much the command is heard", default=1.0)

Shapes are words: a number, or a size that hand and model give (joints, keypoints, tips, history, horizon). The contract
of an exported file, what a server believes and what a host may say follow from these descriptions.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from dexgen_jax.controller.numbers import flag, floats, place


@dataclasses.dataclass(frozen=True)
class Field:
    """One array that goes into a tick or comes out of it."""

    shape: tuple[Any, ...]  # numbers, and words until `of` is told their sizes
    dtype: str
    meaning: str  # with its unit in brackets
    default: float | bool | None = None  # counts if a host says nothing; without one it has to
    choices: str | None = None  # the contract's list of names for these integers: a host says the name

    def read(self, value: Any, name: str, lists: Mapping[str, tuple[str, ...]]) -> Any:
        """Returns what a host said as the tick takes it; ValueError if it cannot be this array, see `numbers.py`."""
        if self.choices:
            return np.int32(place(value, lists[self.choices], name))
        return flag(value, name) if self.dtype == "bool" else floats(value, self.shape, name)


def array(shape: str, meaning: str, dtype: str = "float32", default: Any = None, choices: str | None = None) -> Any:
    """Declares a dataclass's attribute as an array."""
    field = Field(tuple(shape.split()), dtype, meaning, default, choices)
    return dataclasses.field(default=dataclasses.MISSING if default is None else default, metadata={"array": field})


def sizes(model: Any) -> dict[str, int]:
    """What the words in shapes stand for, of a `controller.model.Model`."""
    hand = model.hand
    return {
        "joints": hand.num_joints,
        "keypoints": hand.num_keypoints,
        "tips": hand.num_tips,
        "history": model.history,
        "horizon": model.horizon,
    }


def of(container: type, sizes: Mapping[str, int] | None = None) -> dict[str, Field]:
    """Returns the arrays that a dataclass declares, by name; with `sizes` their shapes are numbers."""
    found = {field.name: field.metadata.get("array") for field in dataclasses.fields(container)}
    found = {name: field for name, field in found.items() if field}
    if sizes is None:
        return found
    shape = lambda field: tuple(sizes[word] if word in sizes else int(word) for word in field.shape)
    return {name: dataclasses.replace(field, shape=shape(field)) for name, field in found.items()}
