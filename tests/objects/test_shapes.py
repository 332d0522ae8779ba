import mujoco
import numpy as np
import pytest

from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import Primitive

TILTED = tuple(np.array([0.9, 0.1, -0.3, 0.2]) / np.linalg.norm([0.9, 0.1, -0.3, 0.2]))
ONE_OF_EACH = {
    "sphere": Primitive(shapes.SPHERE, (0.03,)),
    "capsule": Primitive(shapes.CAPSULE, (0.02, 0.03)),
    "ellipsoid": Primitive(shapes.ELLIPSOID, (0.02, 0.03, 0.04)),
    "cylinder": Primitive(shapes.CYLINDER, (0.025, 0.04)),
    "box": Primitive(shapes.BOX, (0.02, 0.03, 0.04)),
}
# Principal moments per kilogram [m2] in closed form, smallest first.
CLOSED_FORMS = {
    "sphere": np.full(3, 0.4 * 0.03**2),
    "ellipsoid": np.array([0.02**2 + 0.03**2, 0.02**2 + 0.04**2, 0.03**2 + 0.04**2]) / 5,
    "cylinder": np.sort([0.025**2 / 2, *[(3 * 0.025**2 + 0.08**2) / 12] * 2]),
    "box": np.array([0.04**2 + 0.06**2, 0.04**2 + 0.08**2, 0.06**2 + 0.08**2]) / 12,
}
HAMMER = (
    Primitive(shapes.CYLINDER, (0.008, 0.05)),
    Primitive(shapes.BOX, (0.03, 0.012, 0.012), position=(0.01, 0.0, 0.055), quat=TILTED),
    Primitive(shapes.SPHERE, (0.012,), position=(0.0, 0.002, -0.05)),
)


def _matrix(quat):
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, np.asarray(quat, float))
    return out.reshape(3, 3)


def _inertia(thing):
    """The inertia matrix (3, 3) per kilogram in the object's frame."""
    axes = _matrix(thing.inertia_quat)
    return axes @ np.diag(thing.inertia) @ axes.T


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_moments_of_one_part_are_the_closed_form(name):
    thing = shapes.build([ONE_OF_EACH[name]])
    np.testing.assert_allclose(thing.inertia, CLOSED_FORMS[name], rtol=1e-5 if name == "box" else 0.01)
    np.testing.assert_allclose(thing.com, 0, atol=1e-6)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_turning_and_moving_a_part_turns_and_moves_its_inertia(name):
    part = ONE_OF_EACH[name]
    here = shapes.build([part])
    there = shapes.build([part.replace(position=(0.01, -0.02, 0.03), quat=TILTED)])
    turn = _matrix(TILTED)
    scale = np.abs(_inertia(here)).max()
    np.testing.assert_allclose(_inertia(there) / scale, turn @ _inertia(here) @ turn.T / scale, atol=0.015)
    np.testing.assert_allclose(there.com, [0.01, -0.02, 0.03], atol=1e-5)


def test_mass_properties_of_a_union_are_monte_carlos():
    thing = shapes.build(HAMMER)
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.1, 0.1, (2_000_000, 3))
    # Inside the union, counted once where parts overlap.
    points = points[np.any([shapes.inside(part, points) for part in HAMMER], axis=0)]
    com = points.mean(0)
    second = np.cov((points - com).T, bias=True)
    np.testing.assert_allclose(thing.com, com, atol=5e-4)
    expected = np.trace(second) * np.eye(3) - second
    np.testing.assert_allclose(_inertia(thing) / np.trace(expected), expected / np.trace(expected), atol=0.01)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_inside_agrees_with_mujocos_own_distance(name):
    # A probe sphere of radius 1 um: MuJoCo's distance is negative exactly where the point lies inside.
    part = ONE_OF_EACH[name].replace(position=(0.01, 0.0, -0.01), quat=TILTED)
    spec = mujoco.MjSpec()
    size = np.zeros(3)
    size[: len(part.size)] = part.size
    spec.worldbody.add_geom(type=part.kind, size=size, pos=part.position, quat=part.quat)
    probe = spec.worldbody.add_body(mocap=True)
    probe.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(1e-6, 0, 0))
    model = spec.compile()
    data = mujoco.MjData(model)
    points = np.random.default_rng(1).uniform(-0.06, 0.06, (200, 3))
    distance = np.zeros(len(points))
    for i, point in enumerate(points):
        data.mocap_pos[0] = point
        mujoco.mj_kinematics(model, data)
        distance[i] = mujoco.mj_geomDistance(model, data, 0, 1, 1.0, None)
    clear = np.abs(distance) > 2e-4
    assert 10 < np.sum(distance < 0) < 190 and clear.mean() > 0.9
    np.testing.assert_array_equal(shapes.inside(part, points)[clear], distance[clear] < 0)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_bounds_touch_the_part_on_all_six_sides(name):
    part = ONE_OF_EACH[name].replace(position=(0.01, 0.0, -0.01), quat=TILTED)
    low, high = shapes.bounds(part)
    inside = np.random.default_rng(2).uniform(low - 0.01, high + 0.01, (400_000, 3))
    inside = inside[shapes.inside(part, inside)]
    assert (inside > low).all() and (inside < high).all()
    np.testing.assert_allclose([inside.min(0), inside.max(0)], [low, high], atol=0.05 * (high - low).max())


def test_static_slots_hold_every_object_and_free_slots_only_as_many_as_the_largest():
    objects = [shapes.build([ONE_OF_EACH[name]]) for name in ("box", "sphere")] + [shapes.build(HAMMER)]
    assert shapes.layout(objects, static_kinds=True) == (shapes.SPHERE, shapes.CYLINDER, shapes.BOX)
    assert len(shapes.layout(objects, static_kinds=False)) == 3


@pytest.mark.parametrize("static", [True, False])
def test_stacking_keeps_every_part_in_a_slot_of_its_kind_and_switches_the_others_off(static):
    objects = [shapes.build([ONE_OF_EACH["box"]]), shapes.build(HAMMER)]
    kinds = shapes.layout(objects, static)
    stacked = shapes.stack(objects, kinds, static)
    assert stacked.size.shape == (2, 3, 3) and stacked.num_slots == 3
    assert stacked.on.sum(axis=1).tolist() == [1, 3]
    if static:
        assert (stacked.kind == np.array(kinds)).all()
    for row, thing in enumerate(objects):
        slots = np.flatnonzero(stacked.on[row])
        parts = np.column_stack([stacked.kind[row], stacked.size[row], stacked.position[row], stacked.quat[row]])[slots]
        expected = np.column_stack([thing.kind, thing.size, thing.position, thing.quat])
        np.testing.assert_array_equal(parts[np.lexsort(parts.T)], expected[np.lexsort(expected.T)])
        np.testing.assert_array_equal(stacked.inertia[row], thing.inertia)
    assert (stacked.size > 0).all()  # engines refuse a size of 0, also of what is switched off


def test_an_object_without_a_slot_of_its_kind_is_named():
    with pytest.raises(ValueError, match=r"no slot left for a box: the scene has \['sphere', 'cylinder'\]"):
        shapes.stack([shapes.build([ONE_OF_EACH["box"]])], (shapes.SPHERE, shapes.CYLINDER), static_kinds=True)
    with pytest.raises(ValueError, match="no slot left for a sphere"):
        shapes.stack([shapes.build(HAMMER)], (shapes.BOX, shapes.BOX), static_kinds=False)


def test_impossible_parts_are_named_with_their_values():
    with pytest.raises(ValueError, match=r"a cylinder needs 2 positive sizes \[m\], got \(0.02, 0.0\)"):
        shapes.build([Primitive(shapes.CYLINDER, (0.02, 0.0))])
    with pytest.raises(ValueError, match=r"a box needs 3 positive sizes \[m\], got \(0.02,\)"):
        shapes.build([Primitive(shapes.BOX, (0.02,))])
    with pytest.raises(ValueError, match=r"a sphere needs 1 positive sizes \[m\], got \(nan,\)"):
        shapes.build([Primitive(shapes.SPHERE, (float("nan"),))])
    with pytest.raises(ValueError, match=r"a sphere of size \(inf,\) at .* is not finite"):
        shapes.build([Primitive(shapes.SPHERE, (float("inf"),))])
    with pytest.raises(ValueError, match=r"a sphere of size \(0.02,\) at \(nan, 0.0, 0.0\) is not finite"):
        shapes.build([Primitive(shapes.SPHERE, (0.02,), (float("nan"), 0.0, 0.0))])
    with pytest.raises(ValueError, match="parts are too small beside the 20 m that they span: no cell of a grid of"):
        shapes.build([Primitive(shapes.SPHERE, (1e-3,), (x, x, x)) for x in (-10.0, 10.0)])
    with pytest.raises(ValueError, match="geom type 7 is no primitive; known: .*ellipsoid"):
        shapes.build([Primitive(int(mujoco.mjtGeom.mjGEOM_MESH), (0.1,))])
    with pytest.raises(ValueError, match=r"quaternion of a sphere, \(1.0, 1.0, 0.0, 0.0\), has length 1.414, not 1"):
        shapes.build([Primitive(shapes.SPHERE, (0.02,), quat=(1.0, 1.0, 0.0, 0.0))])
    with pytest.raises(ValueError, match="an object needs 1 to 6 parts, got 7"):
        shapes.build([ONE_OF_EACH["sphere"]] * 7)
    with pytest.raises(ValueError, match="an object needs 1 to 6 parts, got 0"):
        shapes.build([])
