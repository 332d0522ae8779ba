"""Where an object's surface is around points of the hand, by hand-worked numbers and by its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.envs import observations
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
    distance, normal = observations.surface(thing, pose, points)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=0.02)  # near its middle it is curved
    there, _ = observations.surface(thing, pose, points - distance[:, None] * normal)
    np.testing.assert_allclose(there, 0, atol=1e-3)


def test_nothing_is_not_a_number_at_the_centre():
    distance, normal = observations.surface(BOX, jnp.array([0, 0, 0, 1.0, 0, 0, 0]), jnp.zeros((1, 3)))
    np.testing.assert_allclose(distance, [-0.02], atol=1e-6)
    assert np.isfinite(normal).all()
