"""Laws: a hand from a file moves as the file's own model does, and what cannot be taken is refused by its name."""

import mujoco
import numpy as np
import pytest

from dexgen_jax.hand import registry
from dexgen_jax.hand.mjcf import from_mjcf

# Two fingers of three links on a palm that is turned and stands on an arm; out of the palm is -z, the fingers lie
# along +x. Shapes of every kind, a joint off its body's origin, one that is not 0 where the bodies stand, an actuated
# wrist above that is no part of the hand.
FINGER = """
  <body name="{f}_base" pos="0.05 {y} 0" quat="0.9 0.1 0 {turn}">
    <joint name="{f}_flex" axis="0 1 0" pos="0.004 0 0.003" range="-0.3 1.5" damping="0.02"/>
    <geom type="box" size="0.02 0.009 0.008" pos="0.02 0 0"/>
    <body name="{f}_middle" pos="0.04 0 0">
      <joint name="{f}_bend" axis="0 1 0" range="-0.2 1.6" damping="0.02"/>
      <geom type="cylinder" size="0.008 0.016" pos="0.018 0 0" euler="0 90 0"/>
      <body name="{f}_last" pos="0.036 0 0">
        <joint name="{f}_curl" axis="0 1 0" range="-0.2 1.6" damping="0.02" ref="0.3"/>
        <geom type="mesh" mesh="wedge"/>
        <body name="{f}_pad" pos="0.03 0 0">
          <geom type="sphere" size="0.009"/>
          <site name="{f}_point"/>
        </body>
      </body>
    </body>
  </body>"""
SERVO = '<position name="{j}_servo" joint="{j}" kp="2.5" kv="0.05" forcerange="-0.6 0.6"/>'
TIPS = {"left": "left_point", "right": "right_pad"}  # a site, a body
JOINTS = [f"{f}_{j}" for f in ("left", "right") for j in ("flex", "bend", "curl")]
SERVOS = "".join(SERVO.format(j=joint) for joint in JOINTS)


def text(servos=SERVOS, more="", joints=None) -> str:
    fingers = "".join(FINGER.format(f=f, y=y, turn=t) for f, y, t in (("left", 0.03, 0.05), ("right", -0.03, -0.05)))
    for before, after in (joints or {}).items():
        assert before in fingers
        fingers = fingers.replace(before, after, 1)
    wedge = "0 -0.008 -0.006  0.03 -0.008 -0.006  0 0.008 -0.006  0.03 0.008 -0.006  0 -0.008 0.006  0 0.008 0.006"
    return f"""<mujoco><compiler angle="radian"/>
      <asset><mesh name="wedge" vertex="{wedge} 0.03 -0.008 0.006 0.03 0.008 0.006"/></asset>
      <worldbody><body name="arm" pos="0 0 0.5" quat="0 1 0 0"><joint name="wrist" axis="0 0 1" range="-1 1"/>
        <geom type="sphere" size="0.05"/>
        <body name="hand_base" pos="0.1 0 0" quat="0.5 0.5 -0.5 0.5">
          <geom type="box" size="0.05 0.045 0.012"/>{fingers.replace('euler="0 90 0"', 'euler="0 1.5707963 0"')}
        </body></body></worldbody>
      <actuator><position joint="wrist" kp="9"/>{servos}</actuator>{more}</mujoco>"""


@pytest.fixture
def write(tmp_path):
    def to_file(**changes):
        path = tmp_path / "gripper.xml"
        path.write_text(text(**changes))
        return path

    return to_file


def take(path, **changes):
    settings = {"palm": "hand_base", "fingers": TIPS, "out": "-z", "along": "+x"}
    return from_mjcf(path, **{**settings, **changes})


def test_it_moves_as_the_files_own_model_does_with_masses_and_shapes_in_their_places(write):
    path, origin = write(), np.array([0.01, 0.02, -0.03])
    hand, there = take(path, origin=origin), mujoco.MjModel.from_xml_path(str(path))
    here = hand.spec().compile()
    data, own = mujoco.MjData(there), mujoco.MjData(here)
    joints = [there.joint(name).qposadr[0] for name in hand.joint_names]
    frame = np.stack([[0, 0, -1], np.cross([1, 0, 0], [0, 0, -1]), [1, 0, 0]])  # rows: our axes in the file's palm
    for q in np.random.default_rng(0).uniform(hand.lower, hand.upper, (20, 6)):
        data.qpos[joints], own.qpos[:] = q, q
        mujoco.mj_kinematics(there, data)
        mujoco.mj_kinematics(here, own)
        palm = data.body("hand_base")
        seen = lambda place: frame @ (palm.xmat.reshape(3, 3).T @ (place - palm.xpos) - origin)  # noqa: B023
        for body in (f"{f}_{part}" for f in ("left", "right") for part in ("base", "middle", "last", "pad")):
            if not body.endswith("base"):  # those have their joints off their origins, which move to the joints
                np.testing.assert_allclose(own.body(body).xpos, seen(data.body(body).xpos), atol=1e-9)
            np.testing.assert_allclose(own.body(body).xipos, seen(data.body(body).xipos), atol=1e-9)
            shape = there.body(body).geomadr[0]  # its only one, and symmetric: its capsule has the same middle
            np.testing.assert_allclose(own.geom(f"{body}_0").xpos, seen(data.geom_xpos[shape]), atol=5e-4)
        np.testing.assert_allclose(own.site("left_tip").xpos, seen(data.site("left_point").xpos), atol=1e-9)
        np.testing.assert_allclose(own.site("right_pip").xpos, own.body("right_middle").xpos, atol=1e-9)


def test_names_limits_gains_and_masses_are_the_files(write):
    path = write()
    hand, there = take(path), mujoco.MjModel.from_xml_path(str(path))
    assert hand.name == "gripper" and list(hand.joint_names) == JOINTS
    assert hand.keypoint_names == ("left_tip", "right_tip", "left_pip", "right_pip") and hand.tip_radius == 0.009
    np.testing.assert_allclose(hand.upper, np.tile([1.5, 1.6, 1.6], 2))
    # What brakes a joint is the servo's D gain and the joint's own damping: 0.05 + 0.02 N m s/rad.
    for value, expected in ((hand.kp, 2.5), (hand.kd, 0.07), (hand.torque_limit, 0.6)):
        np.testing.assert_allclose(value, np.full(6, expected))
    here = hand.spec().compile()
    for body in ("left_base", "right_middle", "left_last"):
        np.testing.assert_allclose(here.body(body).mass, there.body(body).mass)
        np.testing.assert_allclose(here.body(body).inertia, there.body(body).inertia)
    assert hand.touch_names[:2] == ("palm_touch", "left_base_touch")
    other = take(path, kp=4.0, kd=0.2, torque_limit=0.3, name="mine")
    assert (other.name, other.kp[0], other.kd[0], other.torque_limit[0]) == ("mine", 4.0, 0.2, 0.3)


def test_shapes_become_capsules_and_a_hand_at_rest_touches_nothing_of_itself(write):
    hand = take(write())
    model = hand.spec().compile()
    kinds = {mujoco.mjtGeom(kind).name for kind in model.geom_type}
    assert kinds <= {"mjGEOM_CAPSULE", "mjGEOM_SPHERE"}
    # The mesh: 30 x 16 x 12 mm from x = 0, which is a box; its capsule lies in its middle, along x.
    wedge = model.geom("left_last_0")
    np.testing.assert_allclose(wedge.pos, [0.015, 0, 0], atol=3e-4)
    assert 6e-3 < wedge.size[0] < 8e-3 and 13e-3 < wedge.size[0] + wedge.size[1] < 17e-3
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.ncon == 0


def test_the_search_begins_with_fingers_that_close_out_of_the_palm(write):
    prior = take(write()).prior
    np.testing.assert_array_equal(prior.closing, np.ones(6))
    np.testing.assert_allclose(prior.joint_mean, 0.4 * np.tile([1.5, 1.6, 1.6], 2))
    assert prior.object_position[0] > 0.02 and abs(prior.object_position[1]) < 0.02


PULLED = "".join(f'<joint joint="left_{joint}" coef="1"/>' for joint in ("bend", "curl"))
TENDON = f'<tendon><fixed name="pull">{PULLED}</fixed></tendon>'
STRING = '<tendon><spatial name="string"><site site="{a}"/><site site="{b}"/></spatial></tendon>'


@pytest.mark.parametrize(
    "changes, words",
    [
        (dict(more=TENDON), "joint 'left_bend' is moved by tendon 'pull': tendons cannot be taken"),
        (
            dict(more=STRING.format(a="left_point", b="right_point")),
            "joint 'left_curl' is moved by tendon 'string': tendons cannot be taken",
        ),
        (
            dict(more='<equality><connect site1="left_point" site2="right_point"/></equality>'),
            "joint 'left_curl' is in a closed linkage",
        ),
        (
            dict(more='<equality><joint joint1="right_curl" joint2="right_bend"/></equality>'),
            "joint 'right_curl' is coupled to joint 'right_bend' by an equality",
        ),
        (
            dict(more='<equality><connect body1="left_last" body2="right_last" anchor="0 0 0"/></equality>'),
            "joint 'left_curl' is in a closed linkage",
        ),
        (
            dict(joints={'<joint name="left_bend" axis="0 1 0"': '<joint name="left_bend" type="slide" axis="0 1 0"'}),
            "joint 'left_bend' is no hinge",
        ),
        (dict(joints={' range="-0.3 1.5"': ""}), "joint 'left_flex' has no limits: give it a range"),
        (
            dict(joints={'<geom type="box"': '<joint name="left_spread" axis="0 0 1" range="-1 1"/><geom type="box"'}),
            "joint 'left_(spread|flex)' shares its body with another joint",
        ),
        (dict(servos=SERVOS.replace(SERVO.format(j="left_flex"), "")), "joint 'left_flex' has 0 actuators: it needs"),
        (dict(servos="".join(f'<motor joint="{j}"/>' for j in JOINTS)), "joint 'left_flex' has an actuator that is no"),
        (dict(servos=SERVOS.replace(' forcerange="-0.6 0.6"', "")), "joint 'left_flex' has no torque limit"),
        (
            dict(servos=SERVOS.replace("-0.6 0.6", "-0.2 0.6")),
            "joint 'left_flex' has torques from -0.2 to 0.6 N m: give it a forcerange that is the same both ways, or",
        ),
        (
            dict(joints={'name="left_pad"': 'name="palm"'}),
            "a body below 'hand_base' is called 'palm', .* give the body another name in the file",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_by_the_name_of_its_joint(changes, words, write):
    with pytest.raises(ValueError, match=f"hand 'gripper': {words}"):
        take(write(**changes))


def test_what_holds_an_arm_is_no_fault_of_the_hand(write):
    spring = STRING.format(a="shoulder", b="elbow")
    path = write(more=f'{spring}<equality><weld site1="shoulder" site2="elbow"/></equality>')
    path.write_text(
        path.read_text().replace(
            '<geom type="sphere" size="0.05"/>',
            """<geom type="sphere" size="0.05"/>
        <site name="shoulder"/><site name="elbow" pos="0 0 0.1"/>""",
        )
    )
    assert take(path).num_joints == 6


def test_names_that_do_not_exist_say_what_does(write, tmp_path):
    with pytest.raises(ValueError, match="no body named 'palm'; there are the bodies arm, hand_base, left_base"):
        take(write(), palm="palm")
    with pytest.raises(ValueError, match="no site or body named 'thumb'"):
        take(write(), fingers={"left": "thumb"})
    with pytest.raises(ValueError, match="the fingertip 'arm' is not below the palm"):
        take(write(), fingers={"left": "arm"})
    with pytest.raises(
        ValueError, match="pips names 'arm', which is not below the palm: name one of left_base, left_mi"
    ):
        take(write(), pips={"left": "arm"})
    with pytest.raises(ValueError, match="'up' is no axis of the palm; say one of"):
        take(write(), out="up")
    with pytest.raises(ValueError, match="they must be at right angles"):
        take(write(), along="+z")
    with pytest.raises(ValueError, match="nowhere.xml cannot be read .*: name an MJCF file with its meshes"):
        take(tmp_path / "nowhere.xml")


@pytest.mark.parametrize(
    "changes, words",
    [
        (dict(fingers={}), "fingers is empty: give at least one finger, with the site or body at its tip"),
        (dict(pips={"thumb": "left_middle"}), "pips names 'thumb', which is none of the fingers left, right"),
        (dict(origin=(0.1, 0.2)), r"origin is \(0.1, 0.2\): give three finite numbers"),
        (dict(origin=(0.1, 0.2, np.nan)), r"origin is \(0.1, 0.2, nan\): give three finite numbers"),
        (
            dict(tip_radius=np.nan),
            "tip_radius is nan: give a finite number above 0, or leave it out to take the file's",
        ),
        (dict(kp=np.inf), "kp is inf: give a finite number above 0"),
        (dict(kd=-1), "kd is -1: give a finite number above 0"),
        (dict(torque_limit=-0.5), "torque_limit is -0.5: give a finite number above 0"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_named(changes, words, write):
    with pytest.raises(ValueError, match=f"hand 'gripper': {words}"):
        take(write(), **changes)


def test_a_palm_that_no_finger_closes_on_is_refused(write):
    with pytest.raises(
        ValueError, match="no joint moves a fingertip out of the palm: say which axis is `out`, or give"
    ):
        take(write(), out="+y")


def test_a_fingertip_without_shape_says_where_it_is(write):
    path = write(
        joints={'<geom type="sphere" size="0.009"/>': '<inertial pos="0 0 0" mass="1e-3" diaginertia="1 1 1"/>'}
    )
    with pytest.raises(ValueError, match="'left_point' is on body 'left_pad', which has no shape: name one that has"):
        take(path)


def test_its_file_is_a_hand_to_every_script(write, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "HANDS", dict(registry.HANDS))
    path = write()
    (tmp_path / "mine.py").write_text(
        "from dexgen_jax.hand.mjcf import from_mjcf\n\n"
        f"def load():\n    return from_mjcf({str(path)!r}, 'hand_base', {TIPS}, out='-z', along='+x')\n"
    )
    hand = registry.load(str(tmp_path / "mine.py"))
    assert hand.name == "gripper" and registry.load("gripper_left").name == "gripper_left"
