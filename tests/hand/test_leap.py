from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dexgen_jax.hand import kinematics, leap, rotation

HAND = leap.load()
POSES = jax.jit(jax.vmap(lambda q: kinematics.body_poses(HAND, q)))
POINTS = jax.jit(lambda q: kinematics.keypoints(HAND, q))


@pytest.fixture(scope="module")
def source():
    """What MuJoCo says of Menagerie's own model; see make_leap_fixture.py."""
    with np.load(Path(__file__).with_name("leap_kinematics.npz")) as data:
        return dict(data)


def test_every_body_is_where_mujoco_has_it_in_the_public_model(source):
    bodies = [HAND.spec().compile().body(i).name for i in range(2, 18)]
    assert bodies == list(source["bodies"]) and list(HAND.joint_names) == list(source["joints"])
    poses = np.asarray(POSES(source["q"]))[:, 1:]
    turn = np.array(leap.TURN, np.float32)  # from that model's palm to ours
    moved = rotation.rotate(turn[None, None], (source["position"] - np.float32(leap.ORIGIN)))
    np.testing.assert_allclose(poses[..., :3, 3], moved, atol=1e-5)
    turned = np.asarray(rotation.multiply(turn[None, None], source["quat"]))
    matrix = Rotation.from_quat(turned.reshape(-1, 4), scalar_first=True).as_matrix()
    np.testing.assert_allclose(poses[..., :3, :3].reshape(-1, 3, 3), matrix, atol=1e-5)


def test_limits_are_those_of_the_public_model(source):
    np.testing.assert_allclose(np.stack([HAND.lower, HAND.upper], 1), source["joint_range"], atol=1e-12)


def test_a_straight_middle_finger_by_hand():
    # 38.1 + 15.0 + 36.1 mm from its flexion axis to the last joint, and 39.0 mm on to the middle of the tip.
    tip, pip = np.asarray(POINTS(np.zeros(16, np.float32)))[[1, 5]]
    np.testing.assert_allclose(tip[2], 0.1282, atol=1e-5)
    np.testing.assert_allclose(pip, [0.0008, -0.0002, 0.0531], atol=1e-4)


def test_fingers_and_thumb_flex_out_of_the_palm_and_spread_sideways():
    def tips(**joints):
        q = np.zeros(16, np.float32)
        for name, angle in joints.items():
            q[HAND.joint_names.index(name)] = angle
        return np.asarray(POINTS(q))[:4]

    assert tips(mf_mcp=0.5)[1, 0] > 0.05 and tips(if_pip=1.0)[0, 0] > 0.05 and tips(th_cmc=1.0)[3, 0] > 0.08
    assert abs(tips(rf_rot=0.5)[2, 1] - tips()[2, 1]) > 0.03


def test_the_open_and_the_cupped_hand_touch_nothing_of_themselves():
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    for q in (np.clip(0, HAND.lower, HAND.upper), HAND.prior.joint_mean):
        data.qpos[:] = q
        mujoco.mj_forward(model, data)
        assert [(model.geom(c.geom1).name, model.geom(c.geom2).name) for c in data.contact] == []


def test_links_have_the_public_masses_and_servos_the_makers_gains():
    model = HAND.spec().compile()
    for body, mass in (("if_bs", 0.044), ("mf_px", 0.032), ("rf_md", 0.037), ("th_ds", 0.049)):
        np.testing.assert_allclose(model.body(body).mass, mass)
    for value, expected in ((HAND.kp, 3.0), (HAND.kd, 0.1), (HAND.torque_limit, 0.5)):
        np.testing.assert_array_equal(value, np.full(16, expected))
