"""Fingertip grasps from surface points: balanced contacts, the fingers that suit them, and joints that reach them.

Source: HeuristicSample, arXiv:2502.04307, appendix B, algorithm 2. Ours places the object where the chosen fingers
already nearly are, and presses with the very forces that balance: joint targets are J^T f / kp beyond the joints.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.grasps import closure, overlap
from dexgen_jax.grasps.sample import Candidate, cupped
from dexgen_jax.hand import kinematics, rotation
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.shapes import ObjectParams

CHECKS = ("balanced", "reached", "clear")  # what `Candidate.passed` counts here


@dataclasses.dataclass(frozen=True)
class ContactConfig:
    """How fingertip grasps are proposed."""

    fewest: int = 3  # contacts: two let the object turn about the line between them, and none of 35 held; most are 4
    tries: int = 64  # sets of surface points per candidate; the first that balances is taken
    poses: int = 32  # rotations of the object; the one that suits the fingers best is taken
    max_residual: float = 0.15  # net force left over, for a largest push of 1
    max_torque: float = 0.15  # of those same pushes, by the object's radius; the paper asks for forces only
    reach_steps: int = 12  # of inverse kinematics
    max_miss: float = 0.006  # m between a fingertip and its place
    max_depth: float = 0.004  # m the reaching hand may sink into the object
    press: float = 10.0  # N, the largest push; with 5 a third as many boxes hold


@struct.dataclass
class Surface:
    """Points on an object's outer surface, to draw contacts from."""

    points: jax.Array  # (P, 3) m, object frame
    normals: jax.Array  # (P, 3) outward unit normals


@struct.dataclass
class ContactSet:
    """Up to C contacts of one object."""

    points: jax.Array  # (C, 3) m, object frame
    normals: jax.Array  # (C, 3)
    used: jax.Array  # (C,) bool
    force: jax.Array  # (C,) share of the largest push, in [0, 1]


def propose(key: jax.Array, hand: Hand, surface: Surface, params: ObjectParams, config: ContactConfig) -> Candidate:
    """Draws one candidate that holds the object by `config.fewest` to 4 fingertips; vmap to batch."""
    key_set, key_home, key_pose = jax.random.split(key, 3)
    contacts, balanced = draw_set(key_set, hand, surface, config)
    home = cupped(key_home, hand)[: hand.num_joints]
    pose, finger = place(key_pose, hand, home, contacts, config.poses)
    q, miss = reach(hand, home, contacts, pose, finger, config.reach_steps)
    clear = overlap.depth(hand, q, params, pose) < config.max_depth
    passed = jnp.cumprod(jnp.stack([balanced, miss < config.max_miss, clear]).astype(jnp.int32)).sum()
    goal = press(hand, q, contacts, pose, finger, config.press)
    return Candidate(jnp.concatenate([q, pose]), goal, passed, merit=jnp.zeros(()))


def draw_set(key: jax.Array, hand: Hand, surface: Surface, config: ContactConfig) -> tuple[ContactSet, jax.Array]:
    """Draws surface points until they balance, and tells whether they do, () bool."""
    key_points, key_count = jax.random.split(key)
    most = min(hand.num_tips, closure.MAX_CONTACTS)
    used = jnp.arange(most) < jax.random.randint(key_count, (), config.fewest, most + 1)
    rows = jax.random.randint(key_points, (config.tries, most), 0, len(surface.points))
    points, normals = surface.points[rows], surface.normals[rows]
    balance = jax.vmap(closure.net_force, (0, None))(normals, used)
    gap = jnp.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    pairs = used[:, None] & used[None] & ~jnp.eye(most, dtype=bool)
    room = jnp.min(jnp.where(pairs[None], gap, jnp.inf), axis=(1, 2)) > 2 * hand.tip_radius  # fingers side by side
    size = jnp.max(jnp.linalg.norm(surface.points, axis=-1))
    torque = jnp.sum(balance.force[..., None] * jnp.cross(points, normals), axis=1) / size
    good = (balance.residual < config.max_residual) & (jnp.linalg.norm(torque, axis=-1) < config.max_torque) & room
    first = jnp.argmax(good)
    return ContactSet(points[first], normals[first], used, balance.force[first]), good[first]


def place(key: jax.Array, hand: Hand, home: jax.Array, contacts: ContactSet, count: int) -> tuple[jax.Array, jax.Array]:
    """Chooses an object pose (7,) and a finger for each contact (C,) int32 so that hand `home` (n,) nearly fits.

    Of `count` random rotations and all assignments of fingers, the best by distance of the fingertips from their
    places and by how squarely they press: each tip moves along some direction when the hand closes, and that should be
    against the contact's normal. The best position for a rotation and an assignment is known in closed form.
    """
    tips = kinematics.keypoints(hand, home)[: hand.num_tips]
    closing = jnp.asarray(hand.prior.closing, home.dtype)
    along = jax.jvp(lambda q: kinematics.keypoints(hand, q)[: hand.num_tips], (home,), (closing,))[1]
    along = along / (jnp.linalg.norm(along, axis=-1, keepdims=True) + 1e-9)
    weight = contacts.used.astype(home.dtype)
    fingers = np.array(list(itertools.permutations(range(hand.num_tips), len(weight))))  # (A, C)

    def fit(quat: jax.Array) -> tuple[jax.Array, jax.Array]:
        normals = rotation.rotate(quat[None], contacts.normals)
        places = rotation.rotate(quat[None], contacts.points) + hand.tip_radius * normals
        gap = tips[fingers] - places[None]  # (A, C, 3)
        shift = jnp.sum(weight[None, :, None] * gap, 1) / weight.sum()
        far = jnp.sum((gap - shift[:, None]) ** 2, -1) / 0.02**2
        slant = 1.0 + jnp.sum(along[fingers] * normals[None], -1)
        return shift, jnp.sum(weight[None] * (far + 2.0 * slant), -1)

    quats = rotation.random(key, (count,))
    shift, cost = jax.vmap(fit)(quats)
    pose, choice = jnp.unravel_index(jnp.argmin(cost), cost.shape)
    return jnp.concatenate([shift[pose, choice], quats[pose]]), jnp.asarray(fingers)[choice]


def reach(
    hand: Hand, home: jax.Array, contacts: ContactSet, pose: jax.Array, finger: jax.Array, steps: int
) -> tuple[jax.Array, jax.Array]:
    """Brings the fingertips to their places; returns joints (n,) [rad] and the largest miss () [m]."""
    normals = rotation.rotate(pose[None, 3:], contacts.normals)
    # A tip is a ball: its centre keeps its radius away from the surface.
    places = pose[None, :3] + rotation.rotate(pose[None, 3:], contacts.points) + hand.tip_radius * normals
    goal = jnp.zeros((hand.num_keypoints, 3)).at[finger].set(places)
    weight = jnp.zeros(hand.num_keypoints).at[finger].set(contacts.used.astype(home.dtype))
    q = kinematics.inverse_kinematics(hand, home, goal, weight, steps)
    miss = weight * jnp.linalg.norm(kinematics.keypoints(hand, q) - goal, axis=-1)
    return q, jnp.max(miss)


def press(
    hand: Hand, q: jax.Array, contacts: ContactSet, pose: jax.Array, finger: jax.Array, force: float
) -> jax.Array:
    """Returns joint targets (n,) [rad] whose servos push along the inward normals by up to `force` [N], balanced.

    A servo that is held x [rad] short of its target gives kp x, and forces f at the tips ask for torques J^T f.
    """
    inward = -rotation.rotate(pose[None, 3:], contacts.normals)
    push = (force * contacts.force * contacts.used)[:, None] * inward
    tips = lambda q: kinematics.keypoints(hand, q)[finger]
    torque = jax.vjp(tips, q)[1](push)[0]
    return jnp.clip(q + torque / jnp.asarray(hand.kp, q.dtype), hand.lower, hand.upper)
