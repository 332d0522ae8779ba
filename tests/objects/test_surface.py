import numpy as np
import pytest

from dexgen_jax.objects import catalog, shapes, surface
from dexgen_jax.objects.shapes import Primitive

TILTED = (0.8, 0.0, 0.6, 0.0)
HAMMER = [
    Primitive(shapes.CYLINDER, (0.013, 0.05)),
    Primitive(shapes.BOX, (0.03, 0.015, 0.015), (0.0, 0.0, 0.05)),
    Primitive(shapes.SPHERE, (0.02,), (0.0, 0.0, -0.05)),
]


def _sample(parts, count=20_000, seed=0):
    return surface.sample(shapes.build(parts), np.random.default_rng(seed), count)


@pytest.mark.parametrize("name", [*catalog.TRAIN[::4], *catalog.HELD_OUT[::2]])
def test_a_step_along_the_normal_leaves_every_object_and_a_step_back_enters_it(name):
    thing = catalog.load(name)
    points, normals = surface.sample(thing, np.random.default_rng(0), 3000)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
    parts = [
        Primitive(int(k), tuple(s[: shapes.NUM_SIZES[int(k)]]), p, q)
        for k, s, p, q in zip(thing.kind, thing.size, thing.position, thing.quat, strict=True)
    ]
    inside = lambda at: np.any([shapes.inside(part, at) for part in parts], axis=0)
    assert inside(points - 1e-4 * normals).all()
    assert inside(points + 1e-4 * normals).mean() < 0.005  # in a notch a longer step may enter the neighbour


def test_points_are_uniform_by_area():
    # A box of 2 x 4 x 8 cm, tilted: each pair of faces has its share of the area.
    _, normals = _sample([Primitive(shapes.BOX, (0.01, 0.02, 0.04), (0.1, 0, 0), TILTED)])
    along = np.abs(normals @ shapes.rotation_matrix(TILTED)).argmax(-1)
    np.testing.assert_allclose(np.bincount(along) / len(along), np.array([32, 16, 8]) / 56, atol=0.01)
    # A cylinder of radius 2 and half length 4: a cap is 4 pi of 24 pi cm2, and within a cap the area grows with r^2.
    points, normals = _sample([Primitive(shapes.CYLINDER, (0.02, 0.04))])
    cap = np.abs(normals[:, 2]) > 0.5
    np.testing.assert_allclose(cap.mean(), 1 / 5, atol=0.01)
    np.testing.assert_allclose(np.mean(np.linalg.norm(points[cap, :2], axis=-1) < 0.01), 0.25, atol=0.02)
    # A capsule: its side is half length / (half length + radius) of it.
    points, _ = _sample([Primitive(shapes.CAPSULE, (0.01, 0.03))])
    np.testing.assert_allclose(np.mean(np.abs(points[:, 2]) < 0.03), 0.75, atol=0.01)
    # An ellipsoid of revolution: half its area lies where the integral of its profile says.
    points, _ = _sample([Primitive(shapes.ELLIPSOID, (0.01, 0.01, 0.03))])
    z = np.linspace(-0.03, 0.03, 20_001)
    radius = 0.01 * np.sqrt(np.maximum(1 - (z / 0.03) ** 2, 0))
    area = radius * np.sqrt(1 + (0.01**2 / 0.03**2 * z / np.maximum(radius, 1e-9)) ** 2)
    expected = area[np.abs(z) < 0.015].sum() / area[1:-1].sum()
    np.testing.assert_allclose(np.mean(np.abs(points[:, 2]) < 0.015), expected, atol=0.01)


def test_what_lies_inside_another_part_is_never_drawn():
    # One ball of radius 2 cm and its twin 2 cm away: what is left of each is the cap beyond the middle plane, 3/4.
    points, _ = _sample([Primitive(shapes.SPHERE, (0.02,)), Primitive(shapes.SPHERE, (0.02,), (0.02, 0, 0))])
    from_first, from_second = np.linalg.norm(points, axis=-1), np.linalg.norm(points - [0.02, 0, 0], axis=-1)
    assert (np.minimum(from_first, from_second) > 0.02 - 2e-5).all()
    np.testing.assert_allclose(np.mean(points[:, 0] < 0.01), 0.5, atol=0.01)
    height = points[points[:, 0] < 0.01, 0]  # a sphere's area is uniform along any axis, here from -2 to 1 cm
    np.testing.assert_allclose(np.mean(height < -0.005), 0.5, atol=0.01)


def test_faces_that_coincide_count_once_and_faces_that_touch_not_at_all():
    # Two cubes of 4 cm that overlap by half make a block of 6 x 4 x 4 cm; two that abut, one of 8 x 4 x 4.
    for apart, length in ((0.02, 0.06), (0.04, 0.08)):
        cubes = [Primitive(shapes.BOX, (0.02,) * 3), Primitive(shapes.BOX, (0.02,) * 3, (apart, 0, 0))]
        points, normals = _sample(cubes)
        ends = np.abs(normals[:, 0]) > 0.5
        np.testing.assert_allclose(ends.mean(), 2 * 0.04**2 / (2 * 0.04**2 + 4 * 0.04 * length), atol=0.01)
        shared = (points[~ends, 0] > apart - 0.02) & (points[~ends, 0] < 0.02)
        np.testing.assert_allclose(shared.mean(), max(0.04 - apart, 0) / length, atol=0.01)


def test_same_seed_same_points_and_slots_that_are_off_have_none():
    thing = shapes.build(HAMMER)
    first, second = (surface.sample(thing, np.random.default_rng(3), 100)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    box = shapes.stack([shapes.build([HAMMER[1]]), thing], shapes.layout([thing], False), False)
    alone = type(thing)(**{name: getattr(box, name)[0] for name in thing.__dataclass_fields__})
    points, _ = surface.sample(alone, np.random.default_rng(0), 1000)
    assert (points[:, 2] > 0.0349).all()  # only the box, whose lower face is at 35 mm
