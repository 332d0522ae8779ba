import numpy as np
import pytest

from dexgen_jax.physics import world
from dexgen_jax.viz import wrist


def angle(a, b):
    return 2 * np.arccos(min(1.0, abs(float(a @ b))))


def test_palm_up_is_the_palm_up_of_the_physics():
    np.testing.assert_allclose(wrist.gravity(wrist.POSES["palm up"]), world.PALM_UP, atol=1e-12)


@pytest.mark.parametrize("name", wrist.POSES)
def test_poses_are_rotations_with_the_named_side_up(name):
    pose = wrist.POSES[name]
    assert np.linalg.norm(pose) == pytest.approx(1)
    palm, fingers = wrist.rotate(pose, [1, 0, 0]), wrist.rotate(pose, [0, 0, 1])
    height = {"palm": palm, "fingers": fingers}[name.split()[0]][2]
    assert height == pytest.approx({"up": 1, "down": -1, "sideways": 0}[name.split()[1]], abs=1e-9)


def test_turning_is_limited_and_arrives():
    start, end = wrist.POSES["palm up"], wrist.POSES["palm down"]
    first = wrist.toward(start, end, 0.1)
    assert angle(start, first) == pytest.approx(0.1) and angle(first, end) == pytest.approx(angle(start, end) - 0.1)
    np.testing.assert_allclose(np.abs(wrist.toward(start, end, 9.0) @ end), 1)
    for long in (start, 2 * start):
        np.testing.assert_array_equal(wrist.toward(start, long, 0.1), start)


@pytest.mark.parametrize("pull", [[-1, 0, 0], [1, 0, 0], [0, 0, -9.81], [0.3, -0.4, 2.0]])
def test_a_wrist_is_found_for_a_direction_of_gravity(pull):
    found = wrist.gravity(wrist.under(wrist.POSES["palm up"], np.array(pull)))
    np.testing.assert_allclose(found / 9.81, np.array(pull) / np.linalg.norm(pull), atol=1e-9)


def test_a_tumble_turns_at_its_rate():
    pose = wrist.POSES["palm up"]
    assert angle(pose, wrist.tumbled(pose, 3.0, 0.03)) == pytest.approx(0.03)
