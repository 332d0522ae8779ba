"""What a host may say to a tick: numbers of the right shape, flags, and names that exist. Needs numpy alone.

Numbers that are wrong (NaN, infinite, too large, negative) are let through: the tick itself judges them, by arithmetic
that travels with it, see `safety.py`. What is no number, or not as many as belong there, is a fault of the program that
sends it: an error, and nothing has happened. The same at every entry.
"""

from collections.abc import Collection
from typing import Any

import numpy as np


def floats(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Returns `value` as float32 of `shape`; what is too large for 32 bits becomes infinite, what is masked NaN.

    Raises ValueError for another shape, and for text, flags, complex numbers, dates and objects.
    """
    array = np.ma.asarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    if array.dtype == object and all(map(_is_number, array.flat)):
        array = np.array([_float(item) for item in array.flat], np.float64).reshape(array.shape)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise ValueError(f"{name} must hold numbers, got {array.dtype.name}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    return array.filled(np.nan) if isinstance(array, np.ma.MaskedArray) else array


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float | np.number) and not isinstance(item, bool)


def _float(item: Any) -> float:
    try:
        return float(item)
    except OverflowError:  # an int of Python's own has no largest
        return np.inf if item > 0 else -np.inf


def flag(value: Any, name: str) -> np.bool_:
    """Returns `value` as a flag. Raises ValueError for numbers and text: bool("False") is true."""
    if np.shape(value) != () or np.asarray(value).dtype != bool:
        raise ValueError(f"{name} must be true or false, got {value!r:.40}")
    return np.bool_(value)


def place(value: Any, choices: Collection[str], name: str) -> int:
    """Returns where the word `value` stands in `choices`; raises ValueError for any other."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"unknown {name} {value!r:.40}; there is {', '.join(choices)}")
    return list(choices).index(value)
