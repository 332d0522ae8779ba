import numpy as np
import pytest

from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.viz import meshes


@pytest.mark.parametrize(
    "mesh, volume",
    [
        (meshes.capsule(0.02, 0.0), 4 / 3 * np.pi * 0.02**3),
        (meshes.capsule(0.02, 0.03), 4 / 3 * np.pi * 0.02**3 + np.pi * 0.02**2 * 0.06),
        (meshes.cylinder(0.02, 0.03), np.pi * 0.02**2 * 0.06),
        (meshes.ellipsoid((0.01, 0.02, 0.03)), 4 / 3 * np.pi * 6e-6),
        (meshes.box((0.01, 0.02, 0.03)), 8 * 6e-6),
    ],
)
def test_closed_shapes_look_outward_and_hold_their_volume(mesh, volume):
    """Polygons lie inside their circles: 32 corners hold 99.4% of a circle's area."""
    assert 0.98 * volume < mesh.volume <= 1.0001 * volume
    place = np.round(mesh.vertices / 1e-7).astype(int)
    assert len(np.unique(place, axis=0)) - len(mesh.faces) / 2 == 2, "Euler: V - E + F = 2, with E = 3 F / 2"


def test_an_object_is_two_halves_of_its_parts():
    thing = catalog.load("cube_55")
    light, dark = meshes.object_parts(thing)
    assert np.isclose(light.volume + dark.volume, 0.055**3, rtol=1e-5)
    corners = np.concatenate([light.vertices, dark.vertices])
    np.testing.assert_allclose(np.abs(corners).max(0), 0.0275, atol=1e-6)
    assert len(light.faces) == len(dark.faces) == 24  # of 6 sides x 4 tiles x 2 triangles, every other octant


def test_parts_lie_where_the_object_has_them():
    light, dark = meshes.object_parts(catalog.load("hammer_26_70_30"))
    height = np.concatenate([light.vertices, dark.vertices])[:, 2]
    assert np.isclose(np.ptp(height), 0.100, atol=1e-5)  # a handle of 70 mm and a head of 30


def test_the_hand_is_drawn_where_it_collides():
    hand = allegro.load()
    bodies = meshes.hand_bodies(hand)
    for ends, body, radius in zip(
        hand.chain.capsule_ends, hand.chain.capsule_body, hand.chain.capsule_radius, strict=True
    ):
        corners = bodies[body].vertices[bodies[body].faces]
        outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        depth = np.sum((corners[:, :1] - ends) * outward[:, None], axis=-1)  # of both ends behind each face
        assert depth.min() > 0.98 * radius
    assert all(mesh is None or mesh.volume > 0 for mesh in bodies)
