import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from dexgen_jax.grasps import closure

net_force = jax.jit(closure.net_force)
ALL = np.ones(4, bool)


def _random_sets(count=1000, seed=0):
    """Normals (count, 4, 3) and which are used: 2, 3 or 4; a third of the sets lie nearly in a plane or on a line."""
    rng = np.random.default_rng(seed)
    normals = rng.standard_normal((count, 4, 3))
    normals[: count // 6, :, 2] *= 1e-3
    normals[count // 6 : count // 3, :, 1:] *= 1e-2
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    used = np.arange(4) < rng.integers(2, 5, (count, 1))
    return normals.astype(np.float32), used


def _by_scipy(normals, used):
    normals = normals[used].astype(float)
    rest = [np.delete(normals, k, axis=0) for k in range(len(normals))]
    return min(nnls(others.T, -normals[k])[1] for k, others in enumerate(rest))


def test_the_residual_is_that_of_non_negative_least_squares():
    normals, used = _random_sets()
    found = jax.jit(jax.vmap(closure.net_force))(normals, used)
    expected = [_by_scipy(*one) for one in zip(normals, used, strict=True)]
    np.testing.assert_allclose(found.residual, expected, atol=1e-4)


def test_the_pushes_leave_that_residual_and_one_of_them_is_1():
    normals, used = _random_sets(200, seed=1)
    found = jax.jit(jax.vmap(closure.net_force))(normals, used)
    left = np.linalg.norm(np.einsum("bc,bcd->bd", found.force, normals), axis=1)
    np.testing.assert_allclose(left, found.residual, atol=1e-5)
    assert (np.asarray(found.force) >= 0).all() and not np.asarray(found.force)[~used].any()
    np.testing.assert_allclose(np.max(found.force, axis=1), 1.0, atol=1e-3)


def test_by_hand():
    x, y = np.eye(3, dtype=np.float32)[:2]
    slanted = np.array([-np.cos(0.2), np.sin(0.2), 0], np.float32)
    opposed = net_force(np.stack([x, -x, y, y]), ALL)
    np.testing.assert_allclose(opposed.residual, 0.0, atol=1e-6)
    # Two pushes 0.2 rad from opposed: the second cancels its part along the first, sin 0.2 is left.
    nearly = net_force(np.stack([x, slanted, y, y]), np.arange(4) < 2)
    np.testing.assert_allclose(nearly.residual, np.sin(0.2), atol=1e-6)
    # Three normals at 120 degrees balance with equal pushes; all on one side do not balance at all.
    third = [[np.cos(a), np.sin(a), 0] for a in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    even = net_force(np.array([*third, [0, 0, 1]], np.float32), np.array([True] * 3 + [False]))
    np.testing.assert_allclose([even.residual, *even.force], [0, 1, 1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(net_force(np.stack([x, x, y, y]), ALL).residual, 1.0, atol=1e-6)


def test_turning_the_object_or_numbering_its_contacts_anew_changes_nothing():
    normals, _ = _random_sets(20, seed=2)
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    for one in normals:
        residual = float(net_force(one, ALL).residual)
        np.testing.assert_allclose(net_force((one @ turn).astype(np.float32), ALL).residual, residual, atol=1e-5)
        np.testing.assert_allclose(net_force(one[[2, 0, 3, 1]], ALL).residual, residual, atol=1e-5)


def test_fewer_contacts_never_balance_better():
    for normals in _random_sets(30, seed=3)[0]:
        residuals = [float(net_force(normals, np.arange(4) < count).residual) for count in (2, 3, 4)]
        assert residuals[0] >= residuals[1] - 1e-5 and residuals[1] >= residuals[2] - 1e-5


def test_too_many_contacts_are_named():
    with pytest.raises(ValueError, match="5 contacts; .* at most 4"):
        closure.net_force(jnp.ones((5, 3)), jnp.ones(5, bool))
