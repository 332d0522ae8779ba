import numpy as np
import pytest

from dexgen_jax.objects import catalog, shapes


def test_sets_are_apart_and_every_name_builds():
    assert not set(catalog.TRAIN) & set(catalog.HELD_OUT)
    sizes = set()
    for name in (*catalog.names("train"), *catalog.names("held_out")):
        thing = catalog.load(name)
        assert thing.on.all() and (thing.size > 0).all()
        sizes.add((int(thing.kind[0]), *thing.size[0].tolist()))
    assert len(sizes) == len(catalog.TRAIN) + len(catalog.HELD_OUT)  # no two names for one object


def test_names_are_millimetres_and_objects_metres():
    np.testing.assert_allclose(catalog.load("box_48_56_64").size[0], [0.024, 0.028, 0.032], rtol=1e-6)
    np.testing.assert_allclose(catalog.load("sphere_64").size[0, 0], 0.032, rtol=1e-6)
    cylinder = catalog.load("cylinder_40_90")
    assert cylinder.kind[0] == shapes.CYLINDER
    np.testing.assert_allclose(cylinder.size[0, :2], [0.02, 0.045], rtol=1e-6)


def test_a_set_a_list_and_names_with_commas():
    assert catalog.names("train") == tuple(catalog.TRAIN)
    assert catalog.names("cube_55,sphere_64") == catalog.names(["cube_55", "sphere_64"]) == ("cube_55", "sphere_64")


def test_an_unknown_object_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="no object named 'cube_56'; nearest: cube_55"):
        catalog.names("sphere_64,cube_56")
    with pytest.raises(ValueError, match="no object named 'traim'; nearest: train"):
        catalog.names("traim")
