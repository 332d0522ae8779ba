import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from dexgen_jax.hand import rotation

A, B, C = rotation.random(jax.random.PRNGKey(0), (3, 200))
V = jax.random.normal(jax.random.PRNGKey(1), (200, 3))
# Compiled whole: called as they are, each of their operations would be a program of its own.
angle_between, conjugate, multiply, rotate = map(
    jax.jit, (rotation.angle_between, rotation.conjugate, rotation.multiply, rotation.rotate)
)
from_rotation_vector, to_rotation_vector = map(jax.jit, (rotation.from_rotation_vector, rotation.to_rotation_vector))


def test_rotations_are_a_group():
    one = jnp.broadcast_to(jnp.array(rotation.IDENTITY), A.shape)
    left, right = multiply(multiply(A, B), C), multiply(A, multiply(B, C))
    np.testing.assert_allclose(left, right, atol=1e-6)
    np.testing.assert_allclose(multiply(A, one), A, atol=1e-7)
    np.testing.assert_allclose(multiply(A, conjugate(A)), one, atol=1e-6)


def test_rotating_keeps_lengths_and_follows_the_product():
    turned = rotate(multiply(A, B), V)
    np.testing.assert_allclose(turned, rotate(A, rotate(B, V)), atol=1e-5)
    np.testing.assert_allclose(jnp.linalg.norm(turned, axis=1), jnp.linalg.norm(V, axis=1), rtol=1e-5)


def test_exponential_and_logarithm_are_inverse_up_to_half_a_turn():
    vector = V / jnp.linalg.norm(V, axis=1, keepdims=True) * jnp.linspace(0, 3.14, 200)[:, None]
    np.testing.assert_allclose(to_rotation_vector(from_rotation_vector(vector)), vector, atol=2e-4)
    back = from_rotation_vector(to_rotation_vector(A))
    np.testing.assert_allclose(jnp.abs(jnp.sum(back * A, axis=1)), 1.0, atol=1e-6)  # q and -q are one rotation


def test_the_same_turn_has_no_angle_whichever_sign_its_quaternion_has():
    np.testing.assert_allclose(angle_between(A, -A), 0.0, atol=1e-3)
    np.testing.assert_allclose(angle_between(A, B), angle_between(-B, A), atol=1e-5)
    assert float(angle_between(A, B).max()) <= np.pi + 1e-6


def test_a_quarter_turn_about_z_by_hand():
    # exp: w = cos 45 deg, z = sin 45 deg; x goes to y, y to -x.
    quarter = from_rotation_vector(jnp.array([0.0, 0.0, jnp.pi / 2]))
    np.testing.assert_allclose(quarter, [0.70710678, 0, 0, 0.70710678], atol=1e-6)
    np.testing.assert_allclose(rotate(quarter, jnp.array([1.0, 2.0, 3.0])), [-2, 1, 3], atol=1e-6)
    np.testing.assert_allclose(angle_between(quarter, jnp.array(rotation.IDENTITY)), jnp.pi / 2, atol=1e-6)


def test_products_and_turns_are_mujocos():
    for a, b, v in zip(*(np.asarray(x[:20]) for x in (A, B, V)), strict=True):
        product, turned = np.zeros(4), np.zeros(3)
        mujoco.mju_mulQuat(product, np.float64(a), np.float64(b))
        mujoco.mju_rotVecQuat(turned, np.float64(v), np.float64(a))
        np.testing.assert_allclose(multiply(a, b), product, atol=1e-6)
        np.testing.assert_allclose(rotate(a, v), turned, atol=1e-5)


@pytest.mark.parametrize("length", [0.0, 1e-8, 1e-3])
def test_gradients_near_no_rotation_are_those_of_the_limit(length):
    # Near zero, exp(v) = (1, v / 2): its derivative is half the identity below a row of zeros; log's is the inverse.
    vector = jnp.array([0.0, length, 0.0])
    there = jax.jit(jax.jacobian(from_rotation_vector))(vector)
    np.testing.assert_allclose(there, np.vstack([np.zeros(3), 0.5 * np.eye(3)]), atol=3e-4)
    back = jax.jit(jax.jacobian(to_rotation_vector))(from_rotation_vector(vector))
    np.testing.assert_allclose(back[:, 1:], 2 * np.eye(3), atol=3e-3)


def test_random_rotations_cover_all_directions_evenly():
    quat = rotation.random(jax.random.PRNGKey(2), (20_000,))
    # Uniform on the 3-sphere: the second moment of each component is 1/4, and the mean turn of a vector is zero.
    np.testing.assert_allclose(quat.T @ quat / 20_000, np.eye(4) / 4, atol=0.01)
    np.testing.assert_allclose(rotate(quat, jnp.tile(V[:1], (20_000, 1))).mean(0), 0.0, atol=0.03)
