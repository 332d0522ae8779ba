"""What server and clients say to each other: msgpack maps of plain values, checked before anything believes them.

    request   {version, id, ask, token?, ...}             ask: describe, reset, act, statistics, leave
    reply     {version, id, ok: true, ...}   or   {version, id, ok: false, error: what was wrong, reason?}

Arrays are nested lists of numbers, so any language can speak this; nothing is ever unpickled. Needs numpy and msgpack.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgpack
import numpy as np

from dexgen_jax.controller.numbers import place

VERSION = 3  # 3: released without a command keeps the targets; what is wrong with numbers is said in events
LARGEST = 16 * 1024  # bytes of a message: some ten times an `act` of a 16-joint hand
# Reasons that a program can act on: the client begins anew, or goes on without this answer.
FORGOTTEN, FAILED = "forgotten", "failed"


class Refused(ValueError):
    """What a server does not do, in words; `reason` is empty, or a word that a program can act on."""

    def __init__(self, error: str, reason: str = ""):
        """`error` says what was wrong."""
        super().__init__(error)
        self.reason = reason


def encode(message: Mapping[str, Any]) -> bytes:
    """Packs a map of plain values and arrays. Raises ValueError for anything else, as complex numbers, 70-bit ints."""
    try:
        return msgpack.packb(message, default=lambda array: np.asarray(array).tolist())
    except (TypeError, OverflowError) as error:
        raise ValueError(f"only numbers, text, flags and lists of them can be sent: {error}") from error


def decode(payload: bytes) -> dict[str, Any]:
    """Unpacks a map with text keys. Raises ValueError for anything else, whatever the bytes are."""
    if len(payload) > LARGEST:
        raise ValueError(f"a message has {len(payload)} bytes, and the limit is {LARGEST}")
    try:
        message = msgpack.unpackb(payload, max_bin_len=0, max_ext_len=0)
    except Exception as error:  # the unpacker's errors have no common ancestor, and bytes may be anything
        raise ValueError(f"a message is not msgpack of plain values: {type(error).__name__} {error}") from error
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise ValueError(f"a message is a map with text keys, got a {type(message).__name__}")
    return message


def refuse_unknown(message: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises ValueError for a field that nobody would read: a misspelt one would silently count as absent."""
    unknown = sorted(set(message) - set(known))
    if unknown:
        raise ValueError(f"unknown field {unknown[0][:40]!r}; a request of this kind has {', '.join(known)}")


def array(message: Mapping[str, Any], name: str, shape: Sequence[int]) -> np.ndarray:
    """Reads field `name` as float32 of `shape`; NaN and infinite ones are for the tick to judge."""
    rows, wanted = [_field(message, name)], " x ".join(map(str, shape))
    for size in shape:
        for row in rows:
            if not isinstance(row, list) or len(row) != size:
                got = f"a list of {len(row)}" if isinstance(row, list) else f"a {type(row).__name__}"
                raise ValueError(f"{name} must be {wanted} numbers, got {got} where {size} belong")
        rows = [item for row in rows for item in row]
    for item in rows:
        # bool is an int to Python, but never a joint position.
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise ValueError(f"{name} must hold numbers, got {_short(item)}")
    with np.errstate(over="ignore"):
        return np.array(rows, np.float32).reshape(shape)


def tick_input(message: Mapping[str, Any], name: str, contract: Mapping[str, Any]) -> Any:
    """Reads an input of the tick, as the `contract` describes it: a name where it lists them, a flag or numbers."""
    field = contract["inputs"][name]
    if "choices" in field:
        place(_field(message, name), contract[field["choices"]], name)
        return message[name]
    return flag(message, name) if field["dtype"] == "bool" else array(message, name, field["shape"])


def text(message: Mapping[str, Any], name: str, choices: Collection[str]) -> str:
    """Reads field `name` as one of `choices`."""
    value = _field(message, name)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {_short(value)}")
    return value


def flag(message: Mapping[str, Any], name: str) -> bool:
    """Reads field `name` as true or false."""
    value = _field(message, name)
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {_short(value)}")
    return value


def _field(message: Mapping[str, Any], name: str) -> Any:
    if name not in message:
        raise ValueError(f"field {name} is missing")
    return message[name]


def _short(value: Any) -> str:
    """What came, without repeating kilobytes of it."""
    said = repr(value) if isinstance(value, bool | int | float | str | type(None)) else f"a {type(value).__name__}"
    return said if len(said) <= 40 else said[:40] + "..."
