import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from dexgen_jax.objects import distance, shapes
from dexgen_jax.objects.shapes import Primitive

TILTED = tuple(np.array([0.9, 0.1, -0.3, 0.2]) / np.linalg.norm([0.9, 0.1, -0.3, 0.2]))
PARTS = {
    "sphere": Primitive(shapes.SPHERE, (0.03,), (0.01, 0.0, -0.01), TILTED),
    "capsule": Primitive(shapes.CAPSULE, (0.02, 0.03), (0.01, 0.0, -0.01), TILTED),
    "cylinder": Primitive(shapes.CYLINDER, (0.025, 0.04), (0.01, 0.0, -0.01), TILTED),
    "box": Primitive(shapes.BOX, (0.02, 0.03, 0.04), (0.01, 0.0, -0.01), TILTED),
}
POINTS = np.random.default_rng(0).uniform(-0.08, 0.08, (300, 3)).astype(np.float32)


signed_distance = jax.jit(distance.signed_distance)


def _build(*parts):
    return jax.tree.map(jnp.asarray, shapes.build(parts))


@pytest.mark.parametrize("name", PARTS)
def test_distance_is_mujocos(name):
    part = PARTS[name]
    spec = mujoco.MjSpec()
    size = [*part.size, *[0] * (3 - len(part.size))]
    spec.worldbody.add_geom(type=part.kind, size=size, pos=part.position, quat=part.quat)
    probe = spec.worldbody.add_body(mocap=True)
    probe.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(1e-6, 0, 0))
    model = spec.compile()
    data = mujoco.MjData(model)
    expected = []
    for point in POINTS:
        data.mocap_pos[0] = point
        mujoco.mj_kinematics(model, data)
        expected.append(mujoco.mj_geomDistance(model, data, 0, 1, 1.0, None))
    assert min(expected) < -0.003
    np.testing.assert_allclose(signed_distance(_build(part), POINTS), expected, atol=2e-5)


def test_an_ellipsoid_is_a_sphere_when_its_radii_are_equal_and_exact_on_its_surface():
    round_one = _build(Primitive(shapes.ELLIPSOID, (0.03, 0.03, 0.03)))
    np.testing.assert_allclose(signed_distance(round_one, POINTS), np.linalg.norm(POINTS, axis=1) - 0.03, atol=1e-6)
    radii = np.float32([0.02, 0.03, 0.04])
    egg = _build(Primitive(shapes.ELLIPSOID, tuple(map(float, radii))))
    surface = radii * POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    np.testing.assert_allclose(signed_distance(egg, surface), 0.0, atol=1e-7)
    np.testing.assert_allclose(signed_distance(egg, jnp.zeros((1, 3))), -0.02, atol=1e-7)


def test_a_union_is_as_near_as_its_nearest_part_and_slots_switched_off_do_not_count():
    apart = [signed_distance(_build(PARTS[name]), POINTS) for name in ("sphere", "box")]
    both = _build(PARTS["sphere"], PARTS["box"])
    np.testing.assert_allclose(signed_distance(both, POINTS), np.minimum(*apart), atol=1e-7)
    one = both.replace(on=jnp.array([False, True]))
    np.testing.assert_allclose(signed_distance(one, POINTS), apart[1], atol=1e-7)


def test_sign_agrees_with_inside():
    part = PARTS["cylinder"]
    far = np.asarray(signed_distance(_build(part), POINTS))
    clear = np.abs(far) > 1e-5
    np.testing.assert_array_equal((far < 0)[clear], shapes.inside(part, POINTS)[clear])
