"""What a policy sees: `state` for the actor, `privileged_state` for the critic.

Experts never leave simulation (what leaves is their data), so besides proprioception and the goal relative to the
present, as in the paper, the actor also sees the object and gravity, and may see all that the simulator knows. Nothing
downstream depends on it. The critic sees everything.

New entries come at the end, so that a policy that saw less can go on with more (`experts.training.widen`); only the two
factors of style stand behind them.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.hand import kinematics, mirror, rotation
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.distance import signed_distance
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics.state import PhysicsState
from dexgen_jax.physics.world import STANDARD_GRAVITY, World, bounds

_DECIMETRE = 10.0  # positions are about 0.05 m: in decimetres the network sees numbers near 1
_SIGHT = 0.05  # m: a surface further away than this is just far
_STEP = 5e-4  # m, of the differences that make a normal
_CARRY = (0.02, 0.4)  # m and rad of the way to the goal that `carry` looks ahead
_DAMPING = 0.01  # m/rad, as in `kinematics.inverse_kinematics`
# The corners of a tetrahedron: the least that central differences need. Differences, because the gradient of a signed
# distance is not a number inside a box, where the distance beyond its faces is 0.
_CORNERS = ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0))


@struct.dataclass
class GoalError:
    """How far hand and object are from a goal grasp; the goal relative to the present state."""

    position: jax.Array  # (3,) m, palm frame
    rotation: jax.Array  # (3,) rad, rotation vector that turns the object to the goal, palm frame
    joints: jax.Array  # (n,) rad

    def sizes(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Distance [m], angle [rad] and root mean square of the joints [rad], each ()."""
        return jnp.linalg.norm(self.position), jnp.linalg.norm(self.rotation), jnp.sqrt(jnp.mean(self.joints**2))


def goal_error(q: jax.Array, object_pose: jax.Array, goal_q: jax.Array, goal_pose: jax.Array) -> GoalError:
    """Compares the present (q (n,), object_pose (7,)) with a goal grasp, palm frame."""
    turn = rotation.multiply(goal_pose[3:], rotation.conjugate(object_pose[3:]))
    return GoalError(goal_pose[:3] - object_pose[:3], rotation.to_rotation_vector(turn), goal_q - q)


def actor(
    hand: Hand, reading: jax.Array, target: jax.Array, physics: PhysicsState, error: GoalError, world: World
) -> jax.Array:
    """Joints and their targets, the goal relative to the present, the object and gravity: (d,), near 1.

    `reading` (n,) [rad] carries the sensors' noise; `error.joints` must be taken from it.
    """
    middle, half = 0.5 * (hand.upper + hand.lower), 0.5 * (hand.upper - hand.lower)
    pose = physics.object_pose(hand)
    joint_speed, object_velocity = jnp.split(physics.qvel, [hand.num_joints])
    tips = kinematics.keypoints(hand, reading)[: hand.num_tips] - pose[None, :3]
    # Two axes of the object's frame: unlike a quaternion they have no second sign and no jump.
    axes = rotation.rotate(pose[None, 3:], jnp.eye(3)[:2])
    return jnp.concatenate([
        (reading - middle) / half, joint_speed * 0.2, (target - reading) * 3.0, (tips * _DECIMETRE).reshape(-1),
        error.position * 5 * _DECIMETRE, error.rotation * 2.0, error.joints,
        pose[:3] * _DECIMETRE, axes.reshape(-1), object_velocity[:3] * 5.0, object_velocity[3:] * 0.5,
        _extent(world) * 20.0, world.gravity / STANDARD_GRAVITY,
    ])  # fmt: skip


def actor_factors(hand: Hand) -> np.ndarray:
    """By what each entry of `actor` (d,) is multiplied if the world is reflected, see `hand.mirror`: 1 or -1."""
    same, point, turn = np.ones(hand.num_joints, np.float32), mirror.POINT, mirror.TURN
    # The second axis of an object's frame turns over besides: the frame of the image is right-handed again.
    return np.concatenate([
        same, same, same, np.tile(point, hand.num_tips), point, turn, same, point, point, -point, point, turn,
        np.ones(3, np.float32), point,
    ])  # fmt: skip


def simulator_factors(hand: Hand) -> np.ndarray:
    """Likewise of `simulator`, its advice being joints twice."""
    ones = lambda count: np.ones(count, np.float32)
    known = 2 * hand.num_joints + len(hand.touch_names)
    return np.concatenate([
        ones(known), mirror.POINT, ones(5), ones(hand.num_keypoints), np.tile(mirror.POINT, hand.num_keypoints),
        ones(2), ones(2 * hand.num_joints), ones(3), mirror.TURN, ones(len(hand.touch_names)),
    ])  # fmt: skip


def simulator(
    hand: Hand, physics: PhysicsState, world: World, held: jax.Array, goal_age: jax.Array, advice: jax.Array
) -> jax.Array:
    """What only a simulator knows, (d,): true joints, forces, the world, and where the surface is around the keypoints.

    `advice` (m,) is what geometry says of the way to the goal, see `carry`. `held` () and `goal_age` () count the
    control steps in which the goal has been held, and since it was set: without its age, a goal that is given up for
    another is a surprise to the critic, and an actor that is stuck stays so.
    """
    q, pose = physics.joints(hand), physics.object_pose(hand)
    distance, normal = surface(world.object, pose, kinematics.keypoints(hand, q))
    return jnp.concatenate([
        q, physics.torque, jnp.tanh(physics.touch), world.push,
        jnp.stack([world.mass * 5.0, world.object_friction, world.hand_friction, world.kp_scale, world.kd_scale]),
        jnp.minimum(distance, _SIGHT) / _SIGHT, normal.reshape(-1),
        jnp.stack([0.1 * held.astype(q.dtype), 0.01 * goal_age.astype(q.dtype)]), advice,
        # Again, in terms that are easier to use: the shape's box, the turning in the frame of the error, firm touch.
        half_box(world.object) * 20.0, rotation.rotate(pose[3:], physics.qvel[-3:]) * 0.5,
        jnp.tanh(0.1 * physics.touch),
    ])  # fmt: skip


def carry(hand: Hand, q: jax.Array, object_pose: jax.Array, error: GoalError) -> jax.Array:
    """The change of the joints (n,) [rad] that would carry the object toward its goal if the fingertips stuck to it.

    To first order and by damped least squares, dq = J^T (J J^T + damping^2 I)^-1 (position + rotation x arm), for at
    most `_CARRY` of the way. It knows no contacts: what to make of it is the policy's to learn.
    """
    shift, turn = (
        part * jnp.minimum(1.0, most / (jnp.linalg.norm(part) + 1e-6))
        for part, most in zip((error.position, error.rotation), _CARRY, strict=True)
    )
    tips, jacobian = (part[: hand.num_tips] for part in kinematics.keypoints_and_jacobian(hand, q))
    wish = shift[None] + jnp.cross(turn[None], tips - object_pose[None, :3])
    jacobian = jacobian.reshape(-1, hand.num_joints)
    square = jacobian @ jacobian.T + _DAMPING**2 * jnp.eye(jacobian.shape[0], dtype=jacobian.dtype)
    return jacobian.T @ jnp.linalg.solve(square, wish.reshape(-1))


def surface(thing: ObjectParams, pose: jax.Array, points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Signed distance (N,) [m] of `points` (N, 3) from an object at `pose` (7,), and its outward normal (N, 3) there.

    All in the palm frame; on an object's inner ridge, where there is no normal, it is short or zero.
    """
    local = rotation.rotate(rotation.conjugate(pose[3:])[None], points - pose[None, :3])
    corners = jnp.asarray(_CORNERS, local.dtype)
    around = jnp.concatenate([local[None], local[None] + _STEP * corners[:, None]])
    distance = signed_distance(thing, around.reshape(-1, 3)).reshape(around.shape[:2])
    normal = jnp.einsum("cp,ci->pi", distance[1:], corners) / (4 * _STEP)
    return distance[0], rotation.rotate(pose[None, 3:], normal)


def half_box(thing: ObjectParams) -> jax.Array:
    """How far an object reaches along its own axes, (3,) m; a little more where a round part stands askew."""
    half, _ = bounds(thing.kind, thing.size)
    axes = jnp.abs(rotation.rotate(thing.quat[:, None], jnp.eye(3)[None]))  # (slots, 3, 3), each row an axis of its own
    reach = jnp.abs(thing.position) + jnp.einsum("sji,sj->si", axes, half)
    return jnp.max(jnp.where(thing.on[:, None], reach, 0.0), axis=0)


def _extent(world: World) -> jax.Array:
    """The largest of the slots' places and MuJoCo sizes, (3,) m.

    Lengths along the axes for boxes and ellipsoids, radius and half length for others; see `half_box`.
    """
    thing = world.object
    return jnp.max(jnp.where(thing.on[:, None], jnp.abs(thing.position) + thing.size, 0.0), axis=0)
