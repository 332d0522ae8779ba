"""Which turns leave an object as it is: a cube turned by 90 degrees, or a cylinder about its axis, is the same object.

A group is kept as subspaces of quaternions, one for each connected piece: one quaternion for a single turn, the plane
of all turns about an axis of revolution, or the whole space for a ball. The rotation nearest to unit quaternion c in a
subspace is the projection of c, so one formula measures distances for finite and continuous groups alike.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.hand import rotation
from dexgen_jax.objects import surface
from dexgen_jax.objects.distance import signed_distance
from dexgen_jax.objects.shapes import ObjectParams

NONE = np.eye(4, dtype=np.float32)[None, :1]  # (1, 1, 4): only the identity
_FOLDS = (2, 3, 4, 5, 6, 8)  # of the axes that are tried
_POINTS = 400
_TOLERANCE = 2e-4  # m a surface point may leave the surface by


def group(params: ObjectParams) -> np.ndarray:
    """Returns the rotations about its frame's origin that map an object onto itself, as bases (G, R, 4).

    Piece g holds the unit quaternions w x y z (object frame) spanned by the rows of `basis[g]`, orthonormal or zero.
    Found by trying: turns about the object's own axes and space diagonals, kept if surface points land on the surface.
    Objects of the catalogue lie along their axes; one that does not is taken for less symmetric than it is.
    """
    points = jnp.asarray(surface.sample(params, np.random.default_rng(0), _POINTS)[0])

    def kept(quats: np.ndarray) -> np.ndarray:
        return quats[np.asarray(_leaves(params, points, jnp.asarray(quats, jnp.float32))) < _TOLERANCE]

    axes = kept(np.array([_turn(axis, 1.0) for axis in np.eye(3)]))  # one radian is no fraction of a turn
    if len(axes) > 1:
        return np.eye(4, dtype=np.float32)[None]
    rotations = [np.array([1.0, 0, 0, 0]), *kept(np.array(_candidates()))]
    if not len(axes):
        return np.array(_closed(rotations), np.float32)[:, None]
    # About an axis of revolution the other turns are at most flips: one of them stands for all.
    about = np.concatenate([[0.0], axes[0][1:] / np.linalg.norm(axes[0][1:])])
    flips = [quat for quat in rotations if abs(quat[0]) < 1e-6 and abs(quat @ about) < 1e-6]
    pieces = [(rotations[0], about), *((flip, _multiply(flip, about)) for flip in flips[:1])]
    return np.array(pieces, np.float32)


@jax.jit
def _leaves(params: ObjectParams, points: jax.Array, quats: jax.Array) -> jax.Array:
    """How far points (P, 3) of the surface leave it when turned by quaternions (N, 4): (N,) m."""
    turned = rotation.rotate(quats[:, None], points[None])
    return jnp.abs(signed_distance(params, turned.reshape(-1, 3))).reshape(len(quats), -1).max(-1)


def _candidates() -> list[np.ndarray]:
    """Turns about the three axes by all folds, about diagonals of faces by halves and of space by thirds."""
    found = [_turn(a, 2 * np.pi * i / n) for a in np.eye(3) for n in _FOLDS for i in range(1, n)]
    for signs in itertools.product((-1, 0, 1), repeat=3):
        order = {2: 2, 3: 3}.get(int(np.count_nonzero(signs)))
        if order:
            found.append(_turn(np.array(signs) / np.sqrt(order), 2 * np.pi / order))
    # A prism about one axis flips about axes between the others too.
    for n in _FOLDS:
        for i in range(2 * n):
            c, s = np.cos(np.pi * i / n), np.sin(np.pi * i / n)
            found += [_turn(np.roll([0.0, c, s], shift), np.pi) for shift in range(3)]
    return found


def _closed(rotations: list[np.ndarray]) -> list[np.ndarray]:
    """The different rotations among `rotations` and their products."""
    found: list[np.ndarray] = []
    for a, b in itertools.product(rotations, repeat=2):
        new = _multiply(a, b)
        if all(abs(new @ old) < 1 - 1e-6 for old in found):
            found.append(new)
    return found


def _turn(axis: np.ndarray, angle: float) -> np.ndarray:
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * np.asarray(axis)])


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    w = a[0] * b[0] - a[1:] @ b[1:]
    return np.concatenate([[w], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])
