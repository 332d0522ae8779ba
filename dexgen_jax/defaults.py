"""Settings live in frozen dataclasses, their defaults in one place; `override` changes some of them by name."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any


def override(config: Any, overrides: Mapping[str, Any]) -> Any:
    """Returns a copy of a (nested) frozen dataclass with dotted fields replaced.

    Nested dictionaries work too. Raises ValueError naming the nearest fields for one that does not exist.
    """
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    changes: dict[str, Any] = {}
    for path, value in overrides.items():
        name, _, rest = path.partition(".")
        if name not in fields:
            raise ValueError(f"{type(config).__name__} has no setting {name!r}; {nearest(name, fields)}")
        if dataclasses.is_dataclass(fields[name]):
            changes[name] = changes.get(name, {}) | ({rest: value} if rest else dict(value))
        elif rest:
            raise ValueError(f"{type(config).__name__}.{name} has no setting {rest!r}: it is a plain value")
        else:
            changes[name] = tuple(value) if isinstance(fields[name], tuple) else value
    # All at once: settings that belong together are judged together.
    nested = {name: override(fields[name], changes[name]) for name in changes if dataclasses.is_dataclass(fields[name])}
    return dataclasses.replace(config, **changes | nested)


def require(config: Any, counts: str = "", positive: str = "", shares: str = "") -> None:
    """Raises ValueError for the first of the named settings (with spaces) that cannot be.

    `counts` are at least 1, `positive` above 0, `shares` from 0 to 1; all are finite. What JAX traces is not looked at.
    """
    rules = [
        ("at least 1", counts, 1.0, math.inf),
        ("above 0", positive, math.ulp(0.0), math.inf),
        ("from 0 to 1", shares, 0.0, 1.0),
    ]
    for wanted, names, low, high in rules:
        for name in names.split():
            value = getattr(config, name)
            if isinstance(value, int | float) and not (low <= value <= high and value < math.inf):  # NaN too
                raise ValueError(f"{type(config).__name__}.{name} is {value}: it must be {wanted}")


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not `known`: those it may have been meant for, or all."""
    known = list(known)
    near = difflib.get_close_matches(name, known)
    return f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(known)}"


def fill(config: Any, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All settings of a dataclass as a nested dictionary, with `changes` as `override` takes them."""
    return dataclasses.asdict(override(config, changes or {}))
