import numpy as np

from dexgen_jax.grasps import coverage, symmetry
from dexgen_jax.objects import catalog


def _poses(count, seed=0):
    rng = np.random.default_rng(seed)
    quat = rng.standard_normal((count, 4))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    return np.concatenate([0.02 * rng.standard_normal((count, 3)), quat], axis=1).astype(np.float32)


def test_the_same_grasps_twice_cover_no_more_and_others_do():
    poses = _poses(100)
    once = coverage.count(poses, symmetry.NONE)
    assert coverage.count(np.concatenate([poses, poses]), symmetry.NONE) == once
    assert once <= coverage.count(np.concatenate([poses, _poses(100, 1)]), symmetry.NONE)
    assert coverage.count(np.concatenate([poses, poses + [1, 0, 0, 0, 0, 0, 0]]), symmetry.NONE) == 2 * once


def test_q_and_minus_q_are_one_rotation():
    poses = _poses(50)
    flipped = poses * [1, 1, 1, -1, -1, -1, -1]
    np.testing.assert_array_equal(coverage.cells(poses, symmetry.NONE), coverage.cells(flipped, symmetry.NONE))


def test_by_hand():
    # 2 cm and 0.8 rad are one cell each: 4.1 cm are two of them, a turn of 0.8 rad about y is one.
    pose = np.array([[0.041, 0, 0, 1, 0, 0, 0], [0, 0, -0.02, np.cos(0.4), 0, np.sin(0.4), 0]])
    expected = [[2, 0, 0, 0, 0, 0], [0, 0, -1, 0, 1, 0]]
    np.testing.assert_array_equal(coverage.cells(pose, symmetry.NONE), expected)


def test_what_looks_alike_is_in_one_cell():
    turned = np.array([[0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0.7071068, 0, 0.7071068, 0], [0, 0, 0, 0, 1, 0, 0]])
    assert coverage.count(turned, symmetry.group(catalog.load("cube_55"))) == 1
    assert coverage.count(turned, symmetry.NONE) == 3
    assert coverage.count(_poses(200) * [0, 0, 0, 1, 1, 1, 1], symmetry.group(catalog.load("sphere_64"))) == 1
