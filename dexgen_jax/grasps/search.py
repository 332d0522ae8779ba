"""New grasps from known ones: a random place asks the nearest grasp to come a part of the way.

Like a rapidly exploring random tree, this draws growth to where there are few grasps. Source: GraspRRTExpand,
arXiv:2502.04307, appendix B, algorithm 5; contacts are fixed by inverse kinematics, and physics judges the result.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax.grasps import closure, overlap
from dexgen_jax.grasps import metric as metrics
from dexgen_jax.grasps.metric import Metric
from dexgen_jax.grasps.sample import Candidate, cupped
from dexgen_jax.hand import kinematics, rotation
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.distance import signed_distance
from dexgen_jax.objects.shapes import ObjectParams

CHECKS = ("balanced", "clear")  # what `Candidate.passed` counts here


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """How known grasps are moved."""

    share: tuple[float, float] = (0.2, 0.8)  # of the way to the random place, drawn evenly
    spread: float = 1.5  # random places are drawn from the hand's prior, this many times as wide
    touch: float = 0.003  # m from the surface at which a fingertip counts as a contact
    fix_steps: int = 6  # of inverse kinematics, to bring those fingertips back to the surface
    max_residual: float = 0.2  # net force left over where only fingertips touch
    max_depth: float = 0.010  # m the moved hand may sink into the object: closing pushes it out again
    metric: Metric = Metric()


@struct.dataclass
class Known:
    """The grasps of one object so far, padded to a fixed number."""

    q: jax.Array  # (N, n) rad
    target: jax.Array  # (N, n) rad
    object_pose: jax.Array  # (N, 7) m and quaternion
    count: jax.Array  # () int32, rows that are grasps


def expand(
    key: jax.Array, hand: Hand, known: Known, params: ObjectParams, group: jax.Array, config: SearchConfig
) -> Candidate:
    """Moves the known grasp nearest to a random place toward it; vmap to batch. `known` must hold a grasp.

    `group` (G, R, 4) is the object's symmetry group: a place is no further than the nearest turn that looks like it.
    """
    key_place, key_share = jax.random.split(key)
    place = cupped(key_place, hand, config.spread)
    place_q, place_pose = place[: hand.num_joints], place[hand.num_joints :]
    far, _ = metrics.to_all(place_q[None], place_pose[None], known.q, known.object_pose, config.metric, group)
    near = jnp.argmin(jnp.where(jnp.arange(len(known.q)) < known.count, far[0], jnp.inf))
    q, pose = known.q[near], known.object_pose[near]
    share = jax.random.uniform(key_share, minval=config.share[0], maxval=config.share[1])
    new_q, new_pose = interpolate(q, pose, place_q, place_pose, share, group)
    contact = jnp.abs(_air(hand, q, params, pose)) < config.touch
    fixed_q = fix_contacts(hand, new_q, params, new_pose, contact, config.fix_steps)
    inner = jnp.any(overlap.touching(overlap.depths(hand, q, params, pose)) & ~overlap.is_tip(hand))
    normals = _normals(params, new_pose, _tips(hand, fixed_q))
    most = min(hand.num_tips, closure.MAX_CONTACTS)
    held = inner | (closure.net_force(normals[:most], contact[:most]).residual < config.max_residual)
    clear = overlap.depth(hand, fixed_q, params, new_pose) < config.max_depth
    passed = jnp.cumprod(jnp.stack([held, clear]).astype(jnp.int32)).sum()
    goal = jnp.clip(fixed_q + known.target[near] - q, hand.lower, hand.upper)
    news = novelty(new_pose, known, group, config.metric)
    return Candidate(jnp.concatenate([fixed_q, new_pose]), goal, passed, merit=news)


def novelty(pose: jax.Array, known: Known, group: jax.Array, metric: Metric) -> jax.Array:
    """Returns how far () [units] an object pose (7,) is from that of any known grasp, whatever the joints."""
    of_objects = dataclasses.replace(metric, joint_unit=jnp.inf)
    far, _ = metrics.to_all(known.q[:1], pose[None], known.q, known.object_pose, of_objects, group)
    return jnp.min(jnp.where(jnp.arange(len(known.q)) < known.count, far[0], jnp.inf))


def interpolate(
    q: jax.Array, pose: jax.Array, place_q: jax.Array, place_pose: jax.Array, share: jax.Array, group: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Goes a `share` () in [0, 1] of the way from a grasp to a place; rotations take the shortest way that counts."""
    seen = metrics.nearest_turn(pose[3:], place_pose[3:], group)
    way = rotation.to_rotation_vector(rotation.multiply(rotation.conjugate(pose[3:]), seen))
    quat = rotation.multiply(pose[3:], rotation.from_rotation_vector(share * way))
    position = pose[:3] + share * (place_pose[:3] - pose[:3])
    return q + share * (place_q - q), jnp.concatenate([position, quat])


def fix_contacts(
    hand: Hand, q: jax.Array, params: ObjectParams, pose: jax.Array, contact: jax.Array, steps: int
) -> jax.Array:
    """Brings the fingertips where `contact` (tips,) back to the surface of an object that has moved; (n,) [rad]."""
    tips = _tips(hand, q)
    places = tips - _air(hand, q, params, pose)[:, None] * _normals(params, pose, tips)
    goal = jnp.zeros((hand.num_keypoints, 3)).at[: hand.num_tips].set(places)
    weight = jnp.zeros(hand.num_keypoints).at[: hand.num_tips].set(contact.astype(q.dtype))
    return kinematics.inverse_kinematics(hand, q, goal, weight, steps)


def _tips(hand: Hand, q: jax.Array) -> jax.Array:
    return kinematics.keypoints(hand, q)[: hand.num_tips]


def _air(hand: Hand, q: jax.Array, params: ObjectParams, pose: jax.Array) -> jax.Array:
    """Distance (tips,) [m] between fingertips and object, negative where they overlap."""
    return _distance(params, pose, _tips(hand, q)) - hand.tip_radius


def _normals(params: ObjectParams, pose: jax.Array, points: jax.Array) -> jax.Array:
    """Outward unit normals (N, 3) at or near the surface; by differences, for the distance has kinks inside."""
    steps = 1e-4 * jnp.eye(3)
    around = points[:, None, None] + jnp.stack([steps, -steps])[None]
    distance = _distance(params, pose, around.reshape(-1, 3)).reshape(-1, 2, 3)
    slope = distance[:, 0] - distance[:, 1]
    return slope / (jnp.linalg.norm(slope, axis=-1, keepdims=True) + 1e-9)


def _distance(params: ObjectParams, pose: jax.Array, points: jax.Array) -> jax.Array:
    """Signed distance (N,) [m] of points (N, 3) [palm frame] from the object."""
    away = rotation.conjugate(pose[3:])
    return signed_distance(params, rotation.rotate(away[None], points - pose[None, :3]))
