"""Where an object's surface is around points of the hand, and which way the joints carry it, by their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.envs import observations
from dexgen_jax.hand import allegro, kinematics
from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import Primitive

BOX = shapes.build([Primitive(shapes.BOX, (0.02, 0.03, 0.04))])
QUARTER = (np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5))  # about z: the object's x is the palm's y


def test_distance_and_normal_by_hand():
    pose = jnp.array([0.1, 0.0, 0.0, *QUARTER])
    # 1 cm beyond the face of the object's +x, which lies at y = 0.02; 5 mm inside that of its -y, at x = 0.13.
    points = jnp.array([[0.1, 0.03, 0.0], [0.125, 0.0, 0.0]])
    distance, normal = jax.jit(observations.surface)(BOX, pose, points)
    np.testing.assert_allclose(distance, [0.01, -0.005], atol=1e-6)
    np.testing.assert_allclose(normal, [[0, 1, 0], [1, 0, 0]], atol=1e-3)


@pytest.mark.parametrize("kind, size", [(shapes.SPHERE, (0.03,)), (shapes.CAPSULE, (0.02, 0.02))])
def test_the_surface_is_the_distance_away_against_the_normal(kind, size):
    thing = shapes.build([Primitive(kind, size)])
    pose = jnp.array([0.0, 0.01, 0.05, *QUARTER])
    points = pose[None, :3] + 0.06 * jax.random.normal(jax.random.PRNGKey(0), (40, 3))
    surface = jax.jit(observations.surface)
    distance, normal = surface(thing, pose, points)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=0.02)  # near its middle it is curved
    there, _ = surface(thing, pose, points - distance[:, None] * normal)
    np.testing.assert_allclose(there, 0, atol=1e-3)


def test_nothing_is_not_a_number_at_the_centre():
    distance, normal = jax.jit(observations.surface)(BOX, jnp.array([0, 0, 0, 1.0, 0, 0, 0]), jnp.zeros((1, 3)))
    np.testing.assert_allclose(distance, [-0.02], atol=1e-6)
    assert np.isfinite(normal).all()


@pytest.fixture(scope="module")
def held():
    """A hand with bent fingers and an object above its palm."""
    hand = allegro.load()
    q = 0.5 * (hand.lower + hand.upper) + 0.1 * np.random.default_rng(0).standard_normal(hand.num_joints)
    return hand, jnp.asarray(q, jnp.float32), jnp.array([0.05, 0.0, 0.05, 1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("shift, turn", [((0.002, 0, -0.001), (0, 0, 0)), ((0, 0, 0), (0.02, -0.03, 0.01))])
def test_the_fingertips_carry_the_object_toward_its_goal(held, shift, turn):
    hand, q, pose = held
    error = observations.GoalError(jnp.array(shift), jnp.array(turn), jnp.zeros(hand.num_joints))
    move = jax.jit(lambda error: observations.carry(hand, q, pose, error))(error)
    tips = jax.jit(lambda q: kinematics.keypoints(hand, q)[: hand.num_tips])
    wished = np.asarray(shift) + np.cross(turn, tips(q) - pose[None, :3])
    travelled = tips(q + move) - tips(q)
    # Damping holds a finger back in the direction in which it is nearly straight; the others go all the way.
    off = np.linalg.norm(travelled - wished, axis=1) / np.linalg.norm(wished, axis=1)
    assert off.max() < 0.4 and np.median(off) < 0.1


def test_no_more_than_a_part_of_a_long_way_is_asked_of_the_fingers(held):
    hand, q, pose = held
    error = lambda shift, turn: observations.GoalError(jnp.array([shift, 0, 0]), jnp.array([0, turn, 0]), jnp.zeros(16))
    carry = jax.jit(lambda shift, turn: observations.carry(hand, q, pose, error(shift, turn)))
    np.testing.assert_allclose(carry(0.05, 2.0), carry(0.02, 0.4), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(carry(0.0, 0.0), 0)
