import numpy as np
import pytest

from dexgen_jax.objects import catalog, shapes, surface


def test_sets_are_apart_and_every_name_builds():
    assert not set(catalog.TRAIN) & set(catalog.HELD_OUT)
    sizes = set()
    for name in (*catalog.names("train"), *catalog.names("held_out")):
        thing = catalog.load(name)
        assert thing.on.all() and (thing.size > 0).all()
        sizes.add((*thing.kind.tolist(), *thing.size.ravel().tolist()))
    assert len(sizes) == len(catalog.TRAIN) + len(catalog.HELD_OUT)  # no two names for one object
    assert set(catalog.STARTER) < set(catalog.TRAIN)


def test_whole_families_are_held_out_and_every_family_is_used():
    trained, held_out = ({catalog.family(name) for name in names} for names in (catalog.TRAIN, catalog.HELD_OUT))
    assert trained | held_out == set(catalog.FAMILIES)
    assert held_out - trained == {"hexagon", "cross", "pear", "dumbbell"}


@pytest.mark.parametrize("name", [*catalog.TRAIN, *catalog.HELD_OUT])
def test_objects_stand_at_their_centre_of_mass_and_fit_a_hand(name):
    thing = catalog.load(name)
    points, _ = surface.sample(thing, np.random.default_rng(0), 2000)
    assert np.abs(thing.com).max() == 0
    extent = np.sort(np.ptp(points, axis=0))
    assert 0.02 < extent[0] < 0.08 and extent[2] <= 0.150  # a hand closes around the short side
    # Weighed anew: random points of the bounding box that lie inside some part.
    low, high = points.min(0) - 1e-3, points.max(0) + 1e-3
    cloud = np.random.default_rng(1).uniform(low, high, (200_000, 3))
    parts = [
        shapes.Primitive(int(k), tuple(s[: shapes.NUM_SIZES[int(k)]]), p, q)
        for k, s, p, q in zip(thing.kind, thing.size, thing.position, thing.quat, strict=True)
    ]
    solid = cloud[np.any([shapes.inside(part, cloud) for part in parts], axis=0)]
    assert np.abs(solid.mean(0)).max() < 4e-4  # m
    centred = solid - solid.mean(0)
    second = centred.T @ centred / len(solid)
    axes = shapes.rotation_matrix(thing.inertia_quat)
    expected = axes.T @ (np.trace(second) * np.eye(3) - second) @ axes
    np.testing.assert_allclose(expected, np.diag(thing.inertia), atol=0.015 * thing.inertia.max())


def test_names_are_millimetres_and_objects_metres():
    np.testing.assert_allclose(catalog.load("box_48_56_64").size[0], [0.024, 0.028, 0.032], rtol=1e-6)
    np.testing.assert_allclose(catalog.load("sphere_64").size[0, 0], 0.032, rtol=1e-6)
    cylinder = catalog.load("cylinder_40_90")
    assert cylinder.kind[0] == shapes.CYLINDER
    np.testing.assert_allclose(cylinder.size[0, :2], [0.02, 0.045], rtol=1e-6)
    capsule = catalog.load("capsule_44_90")  # its length is over all
    np.testing.assert_allclose(capsule.size[0, :2], [0.022, 0.023], rtol=1e-6)


def test_a_hexagon_is_one_and_a_triangle_nearly():
    angles = np.arange(6) * np.pi / 3
    points, _ = surface.sample(catalog.load("hexagon_52_66"), np.random.default_rng(0), 4000)
    flats = np.stack([np.cos(angles), np.sin(angles)])
    assert np.abs((points[:, :2] @ flats).max(1).max() - 0.026) < 1e-6  # six flats, 52 mm apart
    corners = (points[:, :2] @ np.stack([np.cos(angles + np.pi / 6), np.sin(angles + np.pi / 6)])).max(0)
    np.testing.assert_allclose(corners, 0.052 / np.sqrt(3), atol=1e-3)
    points, _ = surface.sample(catalog.load("triangle_72_50"), np.random.default_rng(0), 4000)
    sides = (points[:, :2] @ flats).max(0)  # three faces at the inradius, three corners near the circumradius
    np.testing.assert_allclose(sides[::2], 0.072 / (2 * np.sqrt(3)), atol=2e-4)
    assert np.all(sides[1::2] > 0.9 * 0.072 / np.sqrt(3))


def test_a_set_a_list_and_names_with_commas():
    assert catalog.names("train") == tuple(catalog.TRAIN)
    assert catalog.names("cube_55,sphere_64") == catalog.names(["cube_55", "sphere_64"]) == ("cube_55", "sphere_64")


def test_an_unknown_object_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="no object named 'cube_56'; nearest: .*cube_55"):
        catalog.names("sphere_64,cube_56")
    with pytest.raises(ValueError, match="no object named 'traim'; nearest: train"):
        catalog.names("traim")
