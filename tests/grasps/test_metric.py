import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import metric, symmetry
from dexgen_jax.grasps.metric import Metric
from dexgen_jax.hand import rotation
from dexgen_jax.objects import catalog

UNITS = Metric()
GROUPS = {name: symmetry.group(catalog.load(name)) for name in ("cube_55", "cylinder_48_70", "sphere_64")}
GROUPS["nothing"] = symmetry.NONE


def _grasps(count, seed=0, joints=5):
    rng = np.random.default_rng(seed)
    quat = rng.standard_normal((count, 4))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    pose = np.concatenate([0.02 * rng.standard_normal((count, 3)), quat], axis=1).astype(np.float32)
    return rng.uniform(0, 1, (count, joints)).astype(np.float32), pose


@jax.jit
def _pair(q, pose, q_other, pose_other, group=symmetry.NONE):
    return metric.distance(q, pose, q_other, pose_other, UNITS, group)


nearest_turn = jax.jit(metric.nearest_turn)


def _all_pairs(q, pose, group):
    one = lambda a, b, c, d: _pair(a, b, c, d, group)
    return jax.jit(jax.vmap(jax.vmap(one, (None, None, 0, 0)), (0, 0, None, None)))(q, pose, q, pose)


@pytest.mark.parametrize("name", GROUPS)
def test_axioms(name):
    far = np.asarray(_all_pairs(*_grasps(14), GROUPS[name])[0])
    np.testing.assert_allclose(np.diag(far), 0, atol=1e-5)
    assert (far[~np.eye(14, dtype=bool)] > 0.1).all()
    np.testing.assert_allclose(far, far.T, atol=1e-4)
    assert (far[:, None, :] <= far[:, :, None] + far[None] + 1e-4).all()  # a to c is no further than by way of b


@pytest.mark.parametrize("name", GROUPS)
def test_what_looks_alike_is_no_distance_apart(name):
    q, pose = _grasps(6, seed=1)
    to_turned = jax.jit(jax.vmap(lambda a, b, c: _pair(a, b, a, c, GROUPS[name])))
    for basis in GROUPS[name]:
        turn = jnp.asarray(basis.sum(0) / np.linalg.norm(basis.sum(0)), jnp.float32)
        turned = np.concatenate([pose[:, :3], rotation.multiply(jnp.asarray(pose[:, 3:]), turn[None])], axis=1)
        far, _ = to_turned(q, pose, turned)
        np.testing.assert_allclose(far, 0, atol=2e-3)


def test_symmetry_only_shortens_and_a_ball_has_no_angle():
    q, pose = _grasps(12, seed=2)
    plain = np.asarray(_all_pairs(q, pose, symmetry.NONE)[1])
    for group in GROUPS.values():
        assert (np.asarray(_all_pairs(q, pose, group)[1]) <= plain + 1e-4).all()
    np.testing.assert_allclose(_all_pairs(q, pose, GROUPS["sphere_64"])[1], 0, atol=2e-3)


def test_by_hand():
    # 3 cm apart (1.5 units), a quarter turn (1.5708 / 0.4 = 3.927), joints 0.3 rad apart each (1 unit).
    here, there = jnp.array([0.0, 0, 0, 1, 0, 0, 0]), jnp.array([0.03, 0, 0, 0.70710678, 0, 0, 0.70710678])
    far, angle = _pair(jnp.zeros(5), here, jnp.full(5, 0.3), there)
    np.testing.assert_allclose([far, angle], [1.5 + 3.92699 + 1.0, np.pi / 2], rtol=1e-5)
    far, angle = _pair(jnp.zeros(5), here, jnp.full(5, 0.3), there, GROUPS["cube_55"])
    np.testing.assert_allclose([far, angle], [2.5, 0.0], atol=1e-4)
    # A turn of 50 degrees about a face of a cube is one of 40 the other way.
    turned = here.at[3:].set(jnp.array([np.cos(np.radians(25)), np.sin(np.radians(25)), 0, 0]))
    angle = _pair(jnp.zeros(5), here, jnp.zeros(5), turned, GROUPS["cube_55"])[1]
    np.testing.assert_allclose(angle, np.radians(40), rtol=1e-4)


@pytest.mark.parametrize("name", GROUPS)
def test_products_of_matrices_give_the_same_numbers(name):
    q, pose = _grasps(40, seed=3)
    group = np.pad(GROUPS[name], ((0, 3), (0, 4 - GROUPS[name].shape[1]), (0, 0)))  # as growth pads them
    far, angle = jax.jit(lambda q, pose: metric.to_all(q[:7], pose[:7], q, pose, UNITS, group))(q, pose)
    expected_far, expected_angle = _all_pairs(q, pose, GROUPS[name])
    np.testing.assert_allclose(far, expected_far[:7], atol=6e-3)
    np.testing.assert_allclose(angle, expected_angle[:7], atol=2e-3)


def test_the_quick_arccos_is_one():
    cosine = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(metric._arccos(jnp.asarray(cosine)), np.arccos(cosine.astype(float)), atol=3e-7)


def test_half_a_turn_away_there_is_still_a_nearest_turn():
    half = jnp.array([0.0, 1, 0, 0])
    np.testing.assert_allclose(nearest_turn(jnp.array([1.0, 0, 0, 0]), half), half, atol=1e-6)


def test_the_nearest_turn_looks_like_the_other_rotation():
    rng = np.random.default_rng(4)
    quats = rng.standard_normal((20, 2, 4)).astype(np.float32)
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    for group in GROUPS.values():
        for quat, other in quats:
            seen = nearest_turn(jnp.asarray(quat), jnp.asarray(other), group)
            inside = np.asarray(rotation.multiply(rotation.conjugate(jnp.asarray(other)), seen))
            np.testing.assert_allclose(np.max(np.linalg.norm(group @ inside, axis=-1)), 1.0, atol=1e-5)
