"""Can these contacts balance? The paper's net-force analysis.

A grasp can only hold if pushes along the inward normals can cancel. The net-force analysis asks for no more, costs
microseconds, and weeds out most random sets of contacts; physics (`settle.py`) judges what is left.
"""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

MAX_CONTACTS = 4  # non-negative least squares is solved by trying all active sets: few contacts only
_FLAT = 1e-5  # a determinant below this means normals that (nearly) depend on each other; a smaller set does as well


@struct.dataclass
class Balance:
    """The best balance of pushes along the normals, the largest push being 1."""

    residual: jax.Array  # () net force left over, 0 (balanced) to 1 (nothing pushes back)
    force: jax.Array  # (C,) the pushes, in [0, 1]


def net_force(normals: jax.Array, used: jax.Array) -> Balance:
    """Finds min over k and f >= 0 with f_k = 1 of |sum_i f_i n_i| for unit `normals` (C, 3); vmap to batch.

    Contacts where `used` (C,) bool is False do not exist; without any the residual is infinite. Exact: for each k,
    non-negative least squares by its active sets, C <= 4. At the best k no push is above 1, for dividing all pushes by
    a larger one would leave a smaller net force. Source: GraspAnalysis, arXiv:2502.04307, appendix B, algorithm 3.
    """
    count = normals.shape[0]
    chex.assert_shape([normals, used], [(count, 3), (count,)])
    if count > MAX_CONTACTS:
        raise ValueError(f"{count} contacts; the net-force analysis takes at most {MAX_CONTACTS}")
    residuals, forces = [], []
    for size in range(min(count, 4)):
        pinned, free = _active_sets(count, size)
        if not len(pinned):
            continue
        share, ok = _solve(normals[pinned], normals[free])
        force = jnp.zeros((len(pinned), count), normals.dtype).at[np.arange(len(pinned)), pinned].set(1.0)
        force = force.at[np.arange(len(pinned))[:, None], free].set(share)
        ok &= used[pinned] & used[free].all(-1)
        residuals.append(jnp.where(ok, jnp.linalg.norm(force @ normals, axis=-1), jnp.inf))
        forces.append(force)
    residual, force = jnp.concatenate(residuals), jnp.concatenate(forces)
    best = jnp.argmin(residual)
    return Balance(residual[best], jnp.where(used, force[best], 0.0))


def _active_sets(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Every contact pinned at force 1 (A,) with every set of `size` others that push too (A, size)."""
    sets = [
        (k, others)
        for k in range(count)
        for others in itertools.combinations([i for i in range(count) if i != k], size)
    ]
    return np.array([k for k, _ in sets], int), np.array([others for _, others in sets], int).reshape(len(sets), size)


def _solve(pinned: jax.Array, free: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pushes (A, s) of normals `free` (A, s, 3) that best cancel `pinned` (A, 3), and which are all pushes (A,)."""
    size = free.shape[1]
    if size == 0:
        return jnp.zeros((len(pinned), 0), pinned.dtype), jnp.ones(len(pinned), bool)
    if size == 1:
        share, sound = -jnp.sum(free[:, 0] * pinned, -1, keepdims=True), True
    elif size == 2:
        against = -jnp.sum(free * pinned[:, None], -1)
        cosine = jnp.sum(free[:, 0] * free[:, 1], -1)
        det, sound = _safe(1.0 - cosine**2)
        share = (against - cosine[:, None] * against[:, ::-1]) / det[:, None]
    else:
        cross = jnp.cross(free[:, (1, 2, 0)], free[:, (2, 0, 1)])
        det, sound = _safe(jnp.sum(free[:, 0] * cross[:, 0], -1))
        share = -jnp.sum(cross * pinned[:, None], -1) / det[:, None]
    # Rounding may leave a push of zero slightly negative; the residual is that of the pushes as they are returned.
    fits = (share > -1e-5).all(-1) & (share < 1.0 + 1e-3).all(-1) & sound
    return jnp.clip(share, 0.0, 1.0), fits


def _safe(det: jax.Array) -> tuple[jax.Array, jax.Array]:
    sound = jnp.abs(det) > _FLAT
    return jnp.where(sound, det, 1.0), sound
