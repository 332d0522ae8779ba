"""Laws: points lie on the surface and evenly over it, and the points of each kind of shape span that shape."""

import mujoco
import numpy as np
import pytest

from dexgen_jax.hand import hulls


def model_of(**geom) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(**geom)
    return spec.compile()


@pytest.mark.parametrize(
    "kind, size, reach",
    [  # how far the shape goes along x, y and z
        ("SPHERE", (0.02, 0, 0), (0.02, 0.02, 0.02)),
        ("CAPSULE", (0.01, 0.03, 0), (0.01, 0.01, 0.04)),
        ("ELLIPSOID", (0.01, 0.02, 0.03), (0.01, 0.02, 0.03)),
        ("CYLINDER", (0.01, 0.03, 0), (0.01, 0.01, 0.03)),
        ("BOX", (0.01, 0.02, 0.03), (0.01, 0.02, 0.03)),
    ],
)
def test_the_points_of_a_shape_span_it(kind, size, reach):
    model = model_of(type=getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"), size=size)
    points = hulls.corners(model, 0)
    np.testing.assert_allclose(points.max(0), reach, rtol=0.01)
    np.testing.assert_allclose(points.min(0), -np.array(reach), rtol=0.01)


def test_points_lie_on_the_surface_and_evenly():
    half = np.array([0.01, 0.02, 0.04])
    model = model_of(type=mujoco.mjtGeom.mjGEOM_BOX, size=half)
    points = hulls.surface(hulls.corners(model, 0), 1e-3)
    share = np.abs(points / half)
    np.testing.assert_allclose(share.max(1), 1.0, atol=1e-9)
    # Faces of 2 x 4, 1 x 4 and 1 x 2 cm: 8, 4 and 2 parts of 14; 112 square cm, 4 standard deviations are 0.02.
    assert len(points) == 11_200
    np.testing.assert_allclose((share > 1 - 1e-9).mean(0), np.array([8, 4, 2]) / 14, atol=0.02)
    np.testing.assert_array_equal(points, hulls.surface(hulls.corners(model, 0), 1e-3))


def test_a_turned_geoms_points_are_where_its_body_has_them():
    # A quarter turn about z takes x to y; then 1 cm along x.
    model = model_of(
        type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.01, 0, 0), pos=(0.01, 0, 0), quat=(0.5**0.5, 0, 0, 0.5**0.5)
    )
    np.testing.assert_allclose(hulls.in_body(model, 0, np.array([[0.02, 0, 0]])), [[0.01, 0.02, 0]], atol=1e-12)
