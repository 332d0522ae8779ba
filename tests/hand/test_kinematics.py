import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from dexgen_jax.hand import allegro, kinematics

HAND = allegro.load()
TIPS_ONLY = jnp.where(jnp.arange(HAND.num_keypoints) < HAND.num_tips, 1.0, 0.0)
keypoints = jax.jit(jax.vmap(lambda q: kinematics.keypoints(HAND, q)))


@pytest.fixture(scope="module")
def poses():
    return np.random.default_rng(0).uniform(HAND.lower, HAND.upper, (1000, HAND.num_joints)).astype(np.float32)


def _mujoco(poses, read):
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    out = []
    for q in poses:
        data.qpos[:] = q
        mujoco.mj_kinematics(model, data)
        out.append(read(model, data))
    return np.array(out)


def test_keypoints_are_mujocos_at_1000_random_poses(poses):
    expected = _mujoco(poses, lambda _, data: [data.site(name).xpos.copy() for name in HAND.keypoint_names])
    np.testing.assert_allclose(keypoints(poses), expected, atol=1e-5)


def test_collision_capsules_lie_where_mujoco_has_them(poses):
    def read(model, data):
        half = model.geom_size[:, 1, None] * data.geom_xmat.reshape(-1, 3, 3)[:, :, 2]
        return np.stack([data.geom_xpos - half, data.geom_xpos + half], axis=1)

    ends = jax.jit(jax.vmap(lambda q: kinematics.capsule_ends(HAND, q)))(poses[:50])
    np.testing.assert_allclose(ends, _mujoco(poses[:50], read), atol=1e-5)
    np.testing.assert_array_equal(HAND.chain.capsule_radius, HAND.spec().compile().geom_size[:, 0])


def test_jacobian_is_the_finite_difference(poses):
    q = poses[0]
    step = 1e-3
    each = np.eye(HAND.num_joints, dtype=np.float32)
    shifted = q + np.float32(step) * np.concatenate([each, -each])
    ahead, behind = np.split(keypoints(shifted), 2)
    np.testing.assert_allclose(
        jax.jit(lambda q: kinematics.keypoints_and_jacobian(HAND, q)[1])(q),
        np.moveaxis((ahead - behind) / (2 * step), 0, -1),
        atol=2e-4,
    )


def test_a_finger_does_not_move_another():
    at = jax.jit(lambda q: kinematics.keypoints_and_jacobian(HAND, q)[1])
    jacobian = np.asarray(at(jnp.asarray(HAND.prior.joint_mean, jnp.float32)))
    fingers = np.array([name.split("_")[0] for name in HAND.joint_names])
    for name, rows in zip(HAND.keypoint_names, jacobian, strict=True):
        own = fingers == name.split("_")[0]
        assert not np.any(rows[:, ~own]) and np.all(np.abs(rows[:, own]).max(0)[:1] > 1e-3)


def test_inverse_kinematics_reaches_reachable_tips_within_limits(poses):
    start = jnp.asarray((HAND.lower + HAND.upper) / 2, jnp.float32)
    goal = keypoints(poses)
    solve = jax.jit(jax.vmap(lambda g: kinematics.inverse_kinematics(HAND, start, g, TIPS_ONLY)))
    q = solve(goal)
    error = np.linalg.norm((keypoints(q) - goal)[:, : HAND.num_tips], axis=-1).max(axis=1)  # the worst of the tips
    assert np.mean(error < 1e-3) >= 0.95
    limits = HAND.lower.astype(np.float32), HAND.upper.astype(np.float32)
    assert np.all((np.asarray(q) >= limits[0]) & (np.asarray(q) <= limits[1]))


def test_inverse_kinematics_stays_where_nothing_is_asked(poses):
    q, weight = jnp.asarray(poses[1]), jnp.zeros(HAND.num_keypoints)
    away = kinematics.inverse_kinematics(HAND, q, jnp.ones((HAND.num_keypoints, 3)), weight, steps=2)
    np.testing.assert_array_equal(away, q)


def test_a_wrong_number_of_joints_is_refused():
    with pytest.raises(AssertionError, match=r"\(15,\)"):
        kinematics.keypoints(HAND, jnp.zeros(15))
