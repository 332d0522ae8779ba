"""Where the keypoints of a hand are, how they move with the joints, and which joints bring them somewhere."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from dexgen_jax.hand.description import Chain, Hand


def body_poses(hand: Hand, q: jax.Array) -> jax.Array:
    """Returns the poses of the hand's bodies in the palm frame as homogeneous matrices (bodies, 4, 4) [m].

    `q` (n,) [rad]. The tree is walked level by level: a few vectorised steps whatever the number of fingers. Matrices,
    for an environment compiles several walks, and with quaternions a walk was five times as many operations.
    """
    chex.assert_shape(q, (hand.num_joints,))
    q = jnp.asarray(q)  # a robot driver's float64 becomes what JAX computes in
    chain = hand.chain
    angle = q[chain.joint][:, None, None]
    still, sine, cosine = (jnp.asarray(part, q.dtype) for part in _turns(chain))
    local = still + jnp.sin(angle) * sine + jnp.cos(angle) * cosine
    above, poses = np.zeros(1, int), [jnp.eye(4, dtype=q.dtype)[None]]  # the palm
    for level in chain.levels:
        of_parent = poses[-1][np.searchsorted(above, chain.parent[level])]
        poses.append(_product(of_parent, local[level]))
        above = level
    return jnp.concatenate(poses)[np.argsort(np.concatenate([[0], *chain.levels]))]


def _turns(chain: Chain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three matrices (bodies, 4, 4): a body's pose in its parent is the first, + sin(q) the second, + cos(q) the third.

    That is Rodrigues' formula. A body without a joint has no axis, and only the first.
    """
    across = np.cross(chain.axis[:, None], np.eye(3)).swapaxes(1, 2)  # times a vector: the axis' cross product with it
    frame = Rotation.from_quat(chain.quat, scalar_first=True).as_matrix()
    still, sine, cosine = np.zeros((3, len(chain.parent), 4, 4))
    sine[:, :3, :3] = frame @ across
    cosine[:, :3, :3] = -frame @ across @ across
    still[:, :3, :3] = frame - cosine[:, :3, :3]
    still[:, :3, 3], still[:, 3, 3] = chain.position, 1.0
    return still, sine, cosine


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The matrix product of `a` (..., n) and `b` (n, m), both with leading axes.

    Term by term: on accelerators `@` rounds to fewer bits, and as a sum over an axis it crashed the program in which an
    expert looks ahead (a CPU, XLA 0.10.2; jax-ml/jax#39257 is alike).
    """
    return sum(a[..., i : i + 1] * b[..., i : i + 1, :] for i in range(a.shape[-1]))


def _place(pose: jax.Array, local: np.ndarray) -> jax.Array:
    """Returns points (..., 3) [m, palm frame] that bodies of `pose` (..., 4, 4) have at `local` (..., 3) [m]."""
    return pose[..., :3, 3] + _turned(pose, local)


def _turned(pose: jax.Array, local: np.ndarray) -> jax.Array:
    """The same of directions."""
    return _product(pose[..., :3, :3], jnp.asarray(local, pose.dtype)[..., None])[..., 0]


def keypoints(hand: Hand, q: jax.Array) -> jax.Array:
    """Returns the keypoints (K, 3) [m, palm frame] of joint positions `q` (n,) [rad]: tips first, then PIPs."""
    return _place(body_poses(hand, q)[hand.chain.keypoint_body], hand.chain.keypoint_position)


def capsule_ends(hand: Hand, q: jax.Array) -> jax.Array:
    """Returns both ends of the axis of each of the hand's collision capsules (capsules, 2, 3) [m, palm frame]."""
    return _place(body_poses(hand, q)[hand.chain.capsule_body][:, None], hand.chain.capsule_ends)


def keypoints_and_jacobian(hand: Hand, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the keypoints (K, 3) [m, palm frame], and d keypoints / d q (K, 3, n) [m/rad].

    A joint moves a point across its axis and the arm to the point.
    """
    chain, poses = hand.chain, body_poses(hand, q)
    bodies = np.flatnonzero(np.any(chain.axis, axis=1))  # those with a joint, which is at their origin
    bodies = bodies[np.argsort(chain.joint[bodies])]
    joint = poses[bodies][None]
    points = _place(poses[chain.keypoint_body], chain.keypoint_position)
    moved = jnp.cross(_turned(joint, chain.axis[None, bodies]), points[:, None] - joint[..., :3, 3])
    return points, jnp.where(joints_that_move(hand).T[..., None], moved, 0.0).swapaxes(1, 2)


def joints_that_move(hand: Hand) -> np.ndarray:
    """Returns which joints (n, K) bool move which keypoints: those between the palm and the keypoint's body."""
    chain, moves = hand.chain, np.zeros((hand.num_joints, hand.num_keypoints), bool)
    for keypoint, body in enumerate(chain.keypoint_body):
        while body != 0:
            if np.any(chain.axis[body]):
                moves[chain.joint[body], keypoint] = True
            body = chain.parent[body]
    return moves


def inverse_kinematics(
    hand: Hand, q: jax.Array, goal: jax.Array, weight: jax.Array, steps: int = 20, damping: float = 0.01
) -> jax.Array:
    """Moves `q` (n,) [rad] so that the keypoints approach `goal` (K, 3) [m, palm frame]; joint limits hold.

    Damped least squares, dq = (J^T J + damping^2 I)^-1 J^T error, with joint steps of at most 0.2 rad. `weight` (K,) in
    [0, 1] chooses which keypoints count. Source: Wampler 1986, doi:10.1109/TSMC.1986.289285.
    """
    chex.assert_shape([goal, weight], [(hand.num_keypoints, 3), (hand.num_keypoints,)])
    lower, upper = jnp.asarray(hand.lower, q.dtype), jnp.asarray(hand.upper, q.dtype)

    def improve(_, q: jax.Array) -> jax.Array:
        points, jacobian = keypoints_and_jacobian(hand, q)
        error = (weight[:, None] * (goal - points)).reshape(-1)
        jacobian = (weight[:, None, None] * jacobian).reshape(error.size, -1)

        def least_squares(jacobian: jax.Array) -> jax.Array:
            normal = jacobian.T @ jacobian + damping**2 * jnp.eye(hand.num_joints, dtype=q.dtype)
            return jnp.linalg.solve(normal, jacobian.T @ error)

        move = least_squares(jacobian)
        # A joint pushed against its limit takes a share of the motion that it cannot make: solve again without it.
        stuck = ((q <= lower) & (move < 0)) | ((q >= upper) & (move > 0))
        move = least_squares(jnp.where(stuck, 0.0, jacobian))
        return jnp.clip(q + jnp.clip(move, -0.2, 0.2), lower, upper)

    return jax.lax.fori_loop(0, steps, improve, q)
