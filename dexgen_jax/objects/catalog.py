"""Named objects by family, and which of them training may see.

Every family is a function of a few lengths in millimetres. Sizes span what a hand of about 11 cm finger length can turn
in its palm. Held out are whole families, and sizes of known ones that no training object has.
"""

import difflib
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import ObjectParams, Primitive

_MM = 1e-3
_ALONG_X = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)  # turns a part's z axis to x


def _box(x: float, y: float, z: float) -> list[Primitive]:
    """A box or plate of full side lengths x, y, z."""
    return [_block((x, y, z))]


def _cube(edge: float) -> list[Primitive]:
    return _box(edge, edge, edge)


def _sphere(diameter: float) -> list[Primitive]:
    return [Primitive(shapes.SPHERE, (diameter / 2 * _MM,))]


def _cylinder(diameter: float, length: float) -> list[Primitive]:
    """A cylinder, disc or rod along z."""
    return [Primitive(shapes.CYLINDER, (diameter / 2 * _MM, length / 2 * _MM))]


def _capsule(diameter: float, length: float) -> list[Primitive]:
    """A rod with round ends along z; `length` is over all."""
    return [Primitive(shapes.CAPSULE, (diameter / 2 * _MM, (length - diameter) / 2 * _MM))]


def _egg(x: float, y: float, z: float) -> list[Primitive]:
    """An ellipsoid of three diameters."""
    return [Primitive(shapes.ELLIPSOID, (x / 2 * _MM, y / 2 * _MM, z / 2 * _MM))]


def _triangle(edge: float, length: float) -> list[Primitive]:
    """A triangular prism along z, its edges a little blunt: two boxes inside each side, a deep and a shallow one."""
    inradius = edge / (2 * math.sqrt(3))
    parts = []
    for side in range(3):
        for depth in (inradius, inradius / 3):
            width = edge - 2 * depth / math.sqrt(3)  # as wide as the triangle is at that depth
            parts.append(_block((depth, width, length), (inradius - depth / 2, 0, 0), about_z=2 * math.pi / 3 * side))
    return parts


def _hexagon(across: float, length: float) -> list[Primitive]:
    """A hexagonal prism along z, exactly the union of three boxes; `across` is from flat to flat."""
    sides = (across, across / math.sqrt(3), length)
    return [_block(sides, about_z=math.pi / 3 * side) for side in range(3)]


def _l_block(long: float, short: float, thick: float) -> list[Primitive]:
    """An L in the y-z plane: arms of full lengths `long` (z) and `short` (y), `thick` square in section."""
    return [
        _block((thick, thick, long)),
        _block((thick, short - thick, thick), (0, short / 2, (thick - long) / 2)),
    ]


def _t_block(long: float, bar: float, thick: float) -> list[Primitive]:
    """A T in the y-z plane: a stem so long that the whole is `long` (z) and a bar of length `bar` (y)."""
    return [
        _block((thick, thick, long - thick), (0, 0, -thick / 2)),
        _block((thick, bar, thick), (0, 0, (long - thick) / 2)),
    ]


def _cross(long: float, thick: float) -> list[Primitive]:
    """A plus sign in the y-z plane with arms from end to end `long`."""
    arm = (long - thick) / 2
    return [_block((thick, thick, long))] + [
        _block((thick, arm, thick), (0, side * (thick + arm) / 2, 0)) for side in (-1, 1)
    ]


def _hammer(handle: float, length: float, head: float) -> list[Primitive]:
    """A round handle (diameter, length) along z with a square head as long as 2.2 times its thickness across it."""
    grip = Primitive(shapes.CYLINDER, (handle / 2 * _MM, length / 2 * _MM))
    return [grip, _block((2.2 * head, head, head), (0, 0, (length + head) / 2))]


def _screwdriver(handle: float, grip: float, shaft: float) -> list[Primitive]:
    """A round grip (diameter, length) along z that ends in a shaft of 8 mm and length `shaft`."""
    rod = Primitive(shapes.CAPSULE, (4 * _MM, shaft / 2 * _MM), (0, 0, (grip + shaft) / 2 * _MM))
    return [Primitive(shapes.CYLINDER, (handle / 2 * _MM, grip / 2 * _MM)), rod]


def _pear(bottom: float, top: float) -> list[Primitive]:
    """Two balls of these diameters, the smaller half sunk into the larger."""
    return [
        Primitive(shapes.SPHERE, (bottom / 2 * _MM,)),
        Primitive(shapes.SPHERE, (top / 2 * _MM,), (0, 0, bottom / 2 * _MM)),
    ]


def _dumbbell(end: float, grip: float, length: float) -> list[Primitive]:
    """Two discs of diameter `end` on a bar of diameter `grip` along x, `length` over all."""
    disc = length / 4
    parts = [Primitive(shapes.CYLINDER, (grip / 2 * _MM, length / 2 * _MM), quat=_ALONG_X)]
    for side in (-1, 1):
        centre = (side * (length - disc) / 2 * _MM, 0.0, 0.0)
        parts.append(Primitive(shapes.CYLINDER, (end / 2 * _MM, disc / 2 * _MM), centre, _ALONG_X))
    return parts


def _block(
    sides: tuple[float, float, float], centre: tuple[float, float, float] = (0, 0, 0), about_z: float = 0.0
) -> Primitive:
    """A box of full `sides` [mm] whose `centre` [mm] lies on axes that are themselves turned `about_z` [rad]."""
    cos, sin = math.cos(about_z), math.sin(about_z)
    x, y, z = centre
    position = ((cos * x - sin * y) * _MM, (sin * x + cos * y) * _MM, z * _MM)
    quat = (math.cos(about_z / 2), 0.0, 0.0, math.sin(about_z / 2))
    return Primitive(shapes.BOX, tuple(side / 2 * _MM for side in sides), position, quat)


FAMILIES: dict[str, Callable[..., list[Primitive]]] = {
    "box": _box, "cube": _cube, "plate": _box, "sphere": _sphere, "cylinder": _cylinder, "disc": _cylinder,
    "rod": _cylinder, "capsule": _capsule, "egg": _egg, "triangle": _triangle, "hexagon": _hexagon, "l": _l_block,
    "t": _t_block, "cross": _cross, "hammer": _hammer, "screwdriver": _screwdriver, "pear": _pear,
    "dumbbell": _dumbbell,
}  # fmt: skip

# A name is the family and its lengths in mm: grasp libraries are stored under it, so it never changes its meaning.
TRAIN = (
    "box_48_56_64", "box_50_50_80", "box_40_52_70", "cube_50", "cube_55", "plate_24_60_80",
    "plate_28_70_70", "sphere_56", "sphere_64", "sphere_70", "cylinder_48_70", "cylinder_56_60", "cylinder_40_90",
    "disc_64_28", "disc_76_24", "rod_30_150", "rod_36_110", "capsule_44_90", "capsule_52_76", "egg_48_56_70",
    "egg_56_56_76", "triangle_62_60", "triangle_72_50", "l_80_60_28", "l_70_64_32", "t_76_70_28", "t_84_60_32",
    "hammer_26_70_30", "screwdriver_34_80_50", "screwdriver_40_70_40",
)  # fmt: skip
HELD_OUT = (
    "box_44_60_72", "cube_60", "sphere_60", "cylinder_52_80", "rod_33_130", "egg_52_60_64", "hexagon_52_66",
    "hexagon_58_56", "cross_76_28", "cross_68_32", "pear_54_44", "pear_60_42", "dumbbell_52_30_80",
)  # fmt: skip
STARTER = (
    "box_48_56_64", "box_50_50_80", "cube_55", "sphere_56", "sphere_64", "cylinder_48_70", "cylinder_56_60",
    "cylinder_40_90",
)  # fmt: skip
SETS = {"train": TRAIN, "held_out": HELD_OUT, "starter": STARTER}  # starter: a few of train, one shape each


def names(which: str | Sequence[str]) -> tuple[str, ...]:
    """Resolves a set's name ('train', 'held_out', 'starter'), one object's name, or a list of names.

    Raises ValueError with the nearest names when there is no such object.
    """
    if isinstance(which, str):
        which = SETS.get(which) or which.split(",")
    known = (*TRAIN, *HELD_OUT)
    for name in which:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *SETS]) or [*known, *SETS]
            raise ValueError(f"no object named {name!r}; nearest: {', '.join(near)}")
    return tuple(which)


def family(name: str) -> str:
    """The family an object of the catalogue belongs to."""
    return names(name)[0].split("_")[0]


@functools.cache
def load(name: str) -> ObjectParams:
    """Builds one object of the catalogue, its frame at its centre of mass; the arrays are shared and read-only."""
    kind, *lengths = names(name)[0].split("_")
    params = shapes.build(FAMILIES[kind](*map(float, lengths)))
    return params.replace(position=params.position - params.com, com=np.zeros_like(params.com))
