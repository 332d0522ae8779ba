"""Named objects, and which of them training may see.

Sizes span what a hand of about 11 cm finger length can turn in the palm. Held-out objects have sizes, and one of the
proportions, that no training object has.
"""

import difflib
from collections.abc import Callable, Sequence

from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import ObjectParams, Primitive


def _box(x: float, y: float, z: float) -> ObjectParams:
    """A box of full side lengths x, y, z [mm]."""
    return shapes.build([Primitive(shapes.BOX, (x / 2000, y / 2000, z / 2000))])


def _sphere(diameter: float) -> ObjectParams:
    return shapes.build([Primitive(shapes.SPHERE, (diameter / 2000,))])


def _cylinder(diameter: float, length: float) -> ObjectParams:
    return shapes.build([Primitive(shapes.CYLINDER, (diameter / 2000, length / 2000))])


# name -> (builder, arguments in mm). Names are stable: grasp libraries are stored under them.
TRAIN: dict[str, tuple[Callable[..., ObjectParams], tuple[float, ...]]] = {
    "box_48_56_64": (_box, (48, 56, 64)),
    "box_50_50_80": (_box, (50, 50, 80)),
    "cube_55": (_box, (55, 55, 55)),
    "sphere_56": (_sphere, (56,)),
    "sphere_64": (_sphere, (64,)),
    "cylinder_48_70": (_cylinder, (48, 70)),
    "cylinder_56_60": (_cylinder, (56, 60)),
    "cylinder_40_90": (_cylinder, (40, 90)),
}
HELD_OUT: dict[str, tuple[Callable[..., ObjectParams], tuple[float, ...]]] = {
    "box_44_60_72": (_box, (44, 60, 72)),
    "sphere_60": (_sphere, (60,)),
    "cylinder_52_80": (_cylinder, (52, 80)),
}
SETS = {"train": tuple(TRAIN), "held_out": tuple(HELD_OUT)}


def names(which: str | Sequence[str]) -> tuple[str, ...]:
    """Resolves a set's name ('train', 'held_out'), one object's name, or a list of names.

    Raises ValueError with the nearest names when there is no such object.
    """
    if isinstance(which, str):
        which = SETS.get(which) or which.split(",")
    known = {**TRAIN, **HELD_OUT}
    for name in which:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *SETS]) or [*known, *SETS]
            raise ValueError(f"no object named {name!r}; nearest: {', '.join(near)}")
    return tuple(which)


def load(name: str) -> ObjectParams:
    """Builds one object of the catalogue."""
    builder, sizes = {**TRAIN, **HELD_OUT}[names(name)[0]]
    return builder(*sizes)
