"""Hands by name: what a config, a grasp file, an expert, a dataset and a controller mean by the hand they name.

A hand of one's own is a Python file with a function `load() -> Hand`; its path does wherever a name is asked for, and
from then on the hand is known by its own name. With `_left` behind it, name or path mean the hand's image, see
`mirror.py`.
"""

import functools
import runpy
from collections.abc import Callable
from pathlib import Path

from dexgen_jax.defaults import nearest
from dexgen_jax.hand import allegro, leap, mirror
from dexgen_jax.hand.description import Hand

HANDS: dict[str, Callable[[], Hand]] = {"allegro": allegro.load, "leap": leap.load}


def register(name: str, make: Callable[[], Hand]) -> None:
    """Makes a hand known; `make` returns the same hand at every call.

    Raises ValueError for a name that is taken, or that means the image of another.
    """
    if name.endswith(mirror.SUFFIX):
        raise ValueError(
            f"a hand named {name!r} would be taken for the image of {mirror.right_of(name)!r}: if it is one, register "
            f"that, and {name!r} is there; if not, give it another name"
        )
    if HANDS.setdefault(name, make) is not make:
        raise ValueError(f"there is a hand {name!r} already: give this one another name")


def load(name: str) -> Hand:
    """The hand of this name, or of the Python file of this path. Raises ValueError for one that does not exist."""
    if name not in HANDS and name.endswith(mirror.SUFFIX):
        return _image(load(mirror.right_of(name)))
    if name.endswith(".py"):
        return _from_file(str(Path(name).resolve()))
    if name not in HANDS:
        raise ValueError(
            f"unknown hand {name!r}; {nearest(name, HANDS)} (a hand of your own is known once --config.hand names its "
            "Python file, or after registry.register)"
        )
    hand = HANDS[name]()
    if hand.name != name:
        raise ValueError(f"the hand registered as {name!r} calls itself {hand.name!r}: register it by that name")
    return hand


def refuse_other(thing: str, its_hand: str, hand: str) -> None:
    """Raises ValueError if `thing`, as in "the expert 'run'", is of another hand than the one that is asked for."""
    if its_hand != hand:
        raise ValueError(
            f"{thing} is of hand {its_hand!r}, asked for {hand!r}: name one of {hand!r}, or make it (every script "
            f"takes --config.hand={hand}), or go on with --config.hand={its_hand}"
        )


@functools.cache
def _image(hand: Hand) -> Hand:
    return mirror.left(hand)


@functools.cache
def _from_file(path: str) -> Hand:
    if not Path(path).is_file():
        raise ValueError(
            f"no hand file {path}: name a Python file with a function load() -> Hand, or one of {', '.join(HANDS)}"
        )
    make = runpy.run_path(path).get("load")
    hand = make() if callable(make) else None
    if not isinstance(hand, Hand):
        raise ValueError(f"{path} makes no hand: it needs a function load() that returns what describe(...) returns")
    register(hand.name, lambda: hand)
    return hand
