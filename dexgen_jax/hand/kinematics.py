"""Where the keypoints of a hand are, how they move with the joints, and which joints bring them somewhere."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.hand import rotation
from dexgen_jax.hand.description import Hand


def body_poses(hand: Hand, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns positions (bodies, 3) [m] and quaternions (bodies, 4) of the hand's bodies in the palm frame.

    `q` (n,) [rad]. The tree is walked level by level: a few vectorised steps whatever the number of fingers.
    """
    chex.assert_shape(q, (hand.num_joints,))
    q = jnp.asarray(q)  # a robot driver's float64 becomes what JAX computes in
    chain = hand.chain
    turn = rotation.from_rotation_vector(jnp.asarray(chain.axis, q.dtype) * q[chain.joint][:, None])
    local = rotation.multiply(jnp.asarray(chain.quat, q.dtype), turn)
    position = jnp.zeros((len(chain.parent), 3), q.dtype)
    quat = jnp.tile(jnp.asarray(rotation.IDENTITY, q.dtype), (len(chain.parent), 1))
    for level in chain.levels:
        above = chain.parent[level]
        place = position[above] + rotation.rotate(quat[above], jnp.asarray(chain.position[level], q.dtype))
        position = position.at[level].set(place)
        quat = quat.at[level].set(rotation.multiply(quat[above], local[level]))
    return position, quat


def keypoints(hand: Hand, q: jax.Array) -> jax.Array:
    """Returns the keypoints (K, 3) [m, palm frame] of joint positions `q` (n,) [rad]: tips first, then PIPs."""
    position, quat = body_poses(hand, q)
    body = hand.chain.keypoint_body
    return position[body] + rotation.rotate(quat[body], jnp.asarray(hand.chain.keypoint_position, quat.dtype))


def capsule_ends(hand: Hand, q: jax.Array) -> jax.Array:
    """Returns both ends of the axis of each of the hand's collision capsules (capsules, 2, 3) [m, palm frame]."""
    position, quat = body_poses(hand, q)
    body = hand.chain.capsule_body
    local = jnp.asarray(hand.chain.capsule_ends, quat.dtype)
    return position[body][:, None] + rotation.rotate(quat[body][:, None], local)


def keypoint_jacobian(hand: Hand, q: jax.Array) -> jax.Array:
    """Returns d keypoints / d q, (K, 3, n) [m/rad]."""
    return jax.jacfwd(lambda joints: keypoints(hand, joints))(q)


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
        error = (weight[:, None] * (goal - keypoints(hand, q))).reshape(-1)
        jacobian = (weight[:, None, None] * keypoint_jacobian(hand, q)).reshape(error.size, -1)

        def least_squares(jacobian: jax.Array) -> jax.Array:
            normal = jacobian.T @ jacobian + damping**2 * jnp.eye(hand.num_joints, dtype=q.dtype)
            return jnp.linalg.solve(normal, jacobian.T @ error)

        move = least_squares(jacobian)
        # A joint pushed against its limit takes a share of the motion that it cannot make: solve again without it.
        stuck = ((q <= lower) & (move < 0)) | ((q >= upper) & (move > 0))
        move = least_squares(jnp.where(stuck, 0.0, jacobian))
        return jnp.clip(q + jnp.clip(move, -0.2, 0.2), lower, upper)

    return jax.lax.fori_loop(0, steps, improve, q)
