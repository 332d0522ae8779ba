import mujoco
import numpy as np

from dexgen_jax.hand import allegro

HAND = allegro.load()


def test_joints_come_finger_by_finger_from_the_root_to_the_tip():
    expected = [f"{f}_{link}" for f in ("ff", "mf", "rf", "th") for link in ("base", "proximal", "medial", "distal")]
    assert list(HAND.joint_names) == expected
    assert HAND.keypoint_names == tuple(f"{f}_{p}" for p in ("tip", "pip") for f in ("ff", "mf", "rf", "th"))
    assert (HAND.num_joints, HAND.num_keypoints, HAND.num_tips) == (16, 8, 4)


def test_limits_are_radians_as_the_maker_gives_them():
    limits = dict(zip(HAND.joint_names, zip(HAND.lower, HAND.upper, strict=True), strict=True))
    assert limits["ff_base"] == (-0.47, 0.47) and limits["mf_proximal"] == (-0.196, 1.61)
    assert limits["rf_medial"] == (-0.174, 1.709) and limits["ff_distal"] == (-0.227, 1.618)
    assert limits["th_base"] == (0.263, 1.396) and limits["th_proximal"] == (-0.105, 1.163)
    assert limits["th_medial"] == (-0.189, 1.644) and limits["th_distal"] == (-0.162, 1.719)


def test_a_straight_middle_finger_by_hand():
    # Origin of mf_base at 0.7 mm, then 16.4 + 54 + 38.4 + 26.7 mm along the finger: the tip is at z = 136.2 mm.
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.site("mf_tip").xpos, [0, 0, 0.1362], atol=1e-9)
    np.testing.assert_allclose(data.site("mf_pip").xpos, [0, 0, 0.0711], atol=1e-9)


def test_fingers_flex_out_of_the_palm():
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    data.qpos[:] = 0.5 * (HAND.lower + HAND.upper)
    mujoco.mj_kinematics(model, data)
    assert all(data.site(f"{f}_tip").xpos[0] > 0.05 for f in allegro.FINGERS)


def test_torque_follows_the_servo_law_and_its_limit():
    # 3 N m/rad x 0.1 rad = 0.3 N m; against 2 rad/s: 0.3 - 0.1 x 2 = 0.1; 1 rad would be 3 and is cut to 0.7.
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    for error, speed, torque in [(0.1, 0.0, 0.3), (0.1, 2.0, 0.1), (1.0, 0.0, 0.7), (-1.0, 0.0, -0.7)]:
        data.qpos[:], data.qvel[:], data.ctrl[:] = 0.5, speed, 0.5 + error
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(data.actuator_force, torque, atol=1e-12)
    np.testing.assert_array_equal(HAND.torque_limit, 0.7)


def test_the_open_and_the_cupped_hand_touch_nothing_of_themselves():
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    for q in (np.clip(0, HAND.lower, HAND.upper), HAND.prior.joint_mean):
        data.qpos[:] = q
        mujoco.mj_forward(model, data)
        touching = [(model.geom(c.geom1).name, model.geom(c.geom2).name) for c in data.contact]
        assert touching == []


def test_fingers_that_lean_into_each_other_collide():
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    lean = {"ff_base": -0.47, "mf_base": 0.47, "ff_proximal": 0.8, "mf_proximal": 0.8}
    for joint, angle in lean.items():
        data.qpos[HAND.joint_names.index(joint)] = angle
    mujoco.mj_forward(model, data)
    touching = {frozenset((model.geom(c.geom1).name, model.geom(c.geom2).name)) for c in data.contact}
    assert frozenset(("ff_distal", "mf_distal")) in touching


def test_masses_are_near_the_public_descriptions():
    model = HAND.spec().compile()
    # Four capsules weigh about what the box of the public palm does: 0.4154 kg.
    np.testing.assert_allclose(model.body("palm").mass, 0.4154, rtol=0.25)
    # A proximal link: 19.6 x 27.5 x 54 mm at 800 kg/m3 are 23 g.
    np.testing.assert_allclose(model.body("mf_proximal").mass, 0.0233, rtol=0.25)
