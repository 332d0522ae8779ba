import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import symmetry
from dexgen_jax.hand import rotation
from dexgen_jax.objects import catalog, distance, surface

signed_distance = jax.jit(distance.signed_distance)


def _members(bases, count=5, seed=0):
    """Some rotations of each piece of a group, (M, 4)."""
    rng = np.random.default_rng(seed)
    quats = np.einsum("gcr,grd->gcd", rng.standard_normal((len(bases), count, bases.shape[1])), bases).reshape(-1, 4)
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)


_back = jax.jit(lambda a, b: rotation.multiply(a, rotation.conjugate(b)))


def _is_in(quat, bases):
    return np.max(np.linalg.norm(bases @ quat, axis=-1)) > 1 - 1e-5


@pytest.mark.parametrize(
    "name, pieces, freedom",
    [
        ("box_48_56_64", 4, 1),  # half turns about three axes
        ("cube_55", 24, 1),
        ("box_50_50_80", 8, 1),  # a square prism
        ("sphere_64", 1, 4),  # any rotation
        ("cylinder_48_70", 2, 2),  # about its axis, and end over end
        ("pear_54_44", 1, 2),  # about its axis only
        ("hexagon_52_66", 12, 1),
        ("triangle_62_60", 6, 1),
        ("dumbbell_52_30_80", 2, 2),  # its axis is x
        ("t_76_70_28", 2, 1),
        ("l_80_60_28", 1, 1),
    ],
)
def test_groups_known_from_geometry(name, pieces, freedom):
    bases = symmetry.group(catalog.load(name))
    assert bases.shape == (pieces, freedom, 4)


@pytest.mark.parametrize("name", ["cube_55", "cylinder_48_70", "hexagon_52_66", "sphere_64"])
def test_a_group_has_its_identity_its_inverses_and_its_products(name):
    bases = symmetry.group(catalog.load(name))
    gram = np.einsum("gri,gsi->grs", bases, bases)
    np.testing.assert_allclose(gram, np.tile(np.eye(bases.shape[1]), (len(bases), 1, 1)), atol=1e-5)
    assert _is_in(np.array([1.0, 0, 0, 0]), bases)
    for a, b in itertools.product(_members(bases, 2), repeat=2):
        assert _is_in(_back(a, b), bases)


@pytest.mark.parametrize("name", ["cylinder_48_70", "dumbbell_52_30_80", "hexagon_52_66"])
def test_members_map_the_surface_onto_itself(name):
    thing = catalog.load(name)
    points, _ = surface.sample(thing, np.random.default_rng(7), 200)
    for quat in _members(symmetry.group(thing), 2):
        turned = rotation.rotate(jnp.asarray(quat, jnp.float32)[None], jnp.asarray(points))
        assert float(jnp.abs(signed_distance(thing, turned)).max()) < 3e-4
