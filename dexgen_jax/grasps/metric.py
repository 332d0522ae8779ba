"""How far two grasps are apart: by object position, object rotation and joints, weighed into one number.

Rotations may be compared up to an object's symmetries (`symmetry.py`): then a cube in the hand and the same cube turned
by 90 degrees are no distance apart.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.grasps import symmetry
from dexgen_jax.hand import rotation


@dataclasses.dataclass(frozen=True)
class Metric:
    """One unit of distance is this much change of one of the three."""

    position_unit: float = 0.02  # m
    angle_unit: float = 0.4  # rad
    joint_unit: float = 0.3  # rad, root mean square over the joints


def nearest_turn(quat: jax.Array, other: jax.Array, group: np.ndarray = symmetry.NONE) -> jax.Array:
    """Returns which of the rotations that look like `other` (4,) is nearest to `quat` (4,); (4,).

    `group` (G, R, 4) is the object's symmetry group as `symmetry.group` gives it.
    """
    bases = jnp.asarray(group, quat.dtype)
    toward = rotation.multiply(rotation.conjugate(other), quat)  # in the object's frame, where the group acts
    share = jnp.sum(bases * toward[None, None], -1)
    piece = jnp.argmax(jnp.sum(share**2, -1))
    # Half a turn away from the only piece, all of it is as near as any: then its first rotation.
    turn = share[piece] @ bases[piece] + 1e-9 * bases[piece, 0]
    return rotation.multiply(other, turn / jnp.linalg.norm(turn))


def distance(
    q: jax.Array,
    pose: jax.Array,
    other_q: jax.Array,
    other_pose: jax.Array,
    metric: Metric,
    group: np.ndarray = symmetry.NONE,
) -> tuple[jax.Array, jax.Array]:
    """Returns the distance () [units] between two grasps and the angle () [rad] between their objects.

    `q`, `other_q` (n,) [rad]; `pose`, `other_pose` (7,) [m and quaternion w x y z]; vmap to batch.
    """
    angle = rotation.angle_between(pose[3:], nearest_turn(pose[3:], other_pose[3:], group))
    shift = jnp.linalg.norm(pose[:3] - other_pose[:3])
    joints = jnp.sqrt(jnp.mean((q - other_q) ** 2))
    return shift / metric.position_unit + angle / metric.angle_unit + joints / metric.joint_unit, angle


def to_all(
    q: jax.Array,
    pose: jax.Array,
    all_q: jax.Array,
    all_pose: jax.Array,
    metric: Metric,
    group: np.ndarray = symmetry.NONE,
) -> tuple[jax.Array, jax.Array]:
    """`distance` of a block (B, ...) of grasps to all (N, ...), as matrix products: distances and angles (B, N).

    Same numbers but for rounding: a zero distance may come out as 5e-3 units, a zero angle as 1e-3 rad.
    """
    product = lambda a, b: jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)
    # <conj(b) a, u> = <a, b u>: turn all objects by the group first, then one product compares them.
    bases = jnp.asarray(group, pose.dtype)
    turned = rotation.multiply(all_pose[:, None, None, 3:], bases[None])  # (N, G, R, 4)
    share = product(pose[:, 3:], turned.reshape(-1, 4)).reshape(len(pose), *turned.shape[:-1])
    cosine = jnp.sqrt(jnp.max(jnp.sum(share**2, -1), -1))
    angle = 2.0 * _arccos(jnp.minimum(cosine, 1.0))
    middle = jnp.mean(all_q, 0)  # small numbers first: squares cancel less
    q, all_q = q - middle[None], all_q - middle[None]
    squared = jnp.sum(q**2, -1)[:, None] + jnp.sum(all_q**2, -1)[None] - 2.0 * product(q, all_q)
    joints = jnp.sqrt(jnp.maximum(squared, 0.0) / q.shape[1])
    shift = jnp.sqrt(sum((pose[:, i, None] - all_pose[None, :, i]) ** 2 for i in range(3)))
    return shift / metric.position_unit + angle / metric.angle_unit + joints / metric.joint_unit, angle


def _arccos(cosine: jax.Array) -> jax.Array:
    """The angle [rad] of a cosine from 0 to 1, within 3e-7: on a CPU `jnp.arccos` takes 40 times as long.

    Source: Abramowitz and Stegun 1964, 4.4.46.
    """
    terms = [
        -0.0012624911, 0.0066700901, -0.0170881256, 0.0308918810,
        -0.0501743046, 0.0889789874, -0.2145988016, 1.5707963050,
    ]  # fmt: skip
    return jnp.sqrt(1.0 - cosine) * jnp.polyval(jnp.asarray(terms, cosine.dtype), cosine)
