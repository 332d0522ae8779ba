import dataclasses

import mujoco
import numpy as np
import pytest
import three_finger

from dexgen_jax.hand import allegro
from dexgen_jax.hand.description import describe


def _describe(change, fingers=three_finger.FINGERS):
    """Describes the three-finger hand after `change(spec)`."""

    def build():
        spec = three_finger.build_spec()
        change(spec)
        return spec

    return describe("made_up", build, fingers, three_finger.RADIUS, three_finger.load().prior)


def test_everything_is_read_off_the_spec():
    hand = three_finger.load()
    assert hand.joint_names == ("a_lower", "a_upper", "b_lower", "b_upper", "c_lower", "c_upper")
    assert hand.keypoint_names == ("a_tip", "b_tip", "c_tip", "a_pip", "b_pip", "c_pip")
    assert (hand.num_joints, hand.num_keypoints, hand.num_tips) == (6, 6, 3)
    assert hand.touch_names == tuple(f"{name}_touch" for name in hand.joint_names)
    for value, expected in [(hand.kp, 2.0), (hand.kd, 0.05), (hand.torque_limit, 0.5), (hand.lower, -0.4)]:
        np.testing.assert_array_equal(value, np.full(6, expected))


def test_gains_may_differ_from_joint_to_joint():
    def stiffen(spec):
        spec.actuators[3].gainprm[0], spec.actuators[3].biasprm[1] = 7.0, -7.0

    np.testing.assert_array_equal(_describe(stiffen).kp, [2, 2, 2, 7, 2, 2])


def test_a_hand_is_one_object_and_equal_only_to_itself():
    assert allegro.load() is allegro.load()
    assert allegro.load() != three_finger.load() and hash(allegro.load()) != hash(three_finger.load())
    assert allegro.load().spec() is not allegro.load().spec()


def test_a_missing_keypoint_is_named():
    with pytest.raises(ValueError, match=r"'made_up': no site named \['d_tip', 'd_pip'\]"):
        _describe(lambda spec: None, fingers=("a", "b", "d"))


def test_actuators_in_another_order_than_the_joints_are_named():
    def rename(spec):
        spec.actuators[0].name, spec.actuators[1].name = "x", "y"

    with pytest.raises(ValueError, match="actuators .'x', 'y'.* must carry the joints' names in order: .'a_lower'"):
        _describe(rename)


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: setattr(spec.joint("b_upper"), "type", mujoco.mjtJoint.mjJNT_SLIDE),
        lambda spec: setattr(spec.joint("b_upper"), "range", (0, 0)),
        lambda spec: setattr(spec.joint("b_upper"), "pos", (0.01, 0, 0)),
        lambda spec: setattr(spec.joint("b_upper"), "ref", 0.1),
    ],
    ids=["slide", "no limits", "off the origin", "not 0 at rest"],
)
def test_a_joint_of_another_kind_is_named(change):
    with pytest.raises(ValueError, match="joint 'b_upper' must be a hinge with limits at its body's origin, and"):
        _describe(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda actuator: setattr(actuator, "gear", (2, 0, 0, 0, 0, 0)),
        lambda actuator: setattr(actuator, "biasprm", np.zeros(10)),
        lambda actuator: setattr(actuator, "forcelimited", 0),
        lambda actuator: setattr(actuator, "forcerange", (-0.2, 0.6)),
        lambda actuator: setattr(actuator, "target", "b_lower"),
    ],
    ids=["gear", "no servo", "no limit", "one-sided limit", "another joint"],
)
def test_an_actuator_of_another_kind_is_named(change):
    with pytest.raises(ValueError, match="actuator 'a_upper' must drive the joint of its name as a position servo"):
        _describe(lambda spec: change(spec.actuator("a_upper")))


def test_two_joints_on_one_body_are_refused():
    def twist(spec):
        spec.body("b_upper").add_joint(name="twist", axis=(1, 0, 0), range=(-1, 1), limited=True)
        for actuator in list(spec.actuators):  # in the joints' order again
            spec.delete(actuator)
        for name in [joint.name for joint in spec.joints]:
            spec.add_actuator(
                name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, gainprm=[3.0] + [0.0] * 9,
                biastype=mujoco.mjtBias.mjBIAS_AFFINE, biasprm=[0.0, -3.0, -0.1] + [0.0] * 7, forcelimited=1,
                forcerange=(-1, 1),
            )  # fmt: skip

    with pytest.raises(ValueError, match="body 'b_upper' has two joints: give each hinge a body of its own"):
        _describe(twist)


def test_a_collision_shape_that_not_every_engine_knows_is_named():
    def square(spec):
        spec.geom("c_upper").type = mujoco.mjtGeom.mjGEOM_BOX
        spec.geom("c_upper").fromto = np.full(6, np.nan)
        spec.geom("c_upper").size = (0.01, 0.01, 0.02)

    with pytest.raises(ValueError, match="geom 'c_upper' is neither a capsule nor a sphere"):
        _describe(square)


def test_a_joint_that_moves_the_palm_is_named():
    def unhold(spec):
        hinge = spec.joint("a_lower")
        spec.delete(hinge)
        spec.body("palm").add_joint(name="a_lower", axis=(1, 0, 0), range=(-1, 1))

    with pytest.raises(ValueError, match="'a_lower' moves the palm, but the palm is held still: put the wrist into"):
        _describe(unhold)


def test_a_shape_on_the_world_is_named():
    def stand(spec):
        spec.worldbody.add_geom(name="post", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.02, 0, 0))

    with pytest.raises(ValueError, match="geom 'post' is fixed to the world and collides: put it on the palm"):
        _describe(stand)


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("closing", np.zeros(6), "prior.closing is 0 for all 6 joints: say which of them close the hand"),
        ("closing", np.full(6, np.nan), "prior.closing is .nan, .* must be finite and of shape .6,., one number for"),
        ("closing", np.ones(16), "prior.closing is .* of shape .16,.: it must be finite and of shape .6,."),
        ("joint_mean", np.zeros((6, 1)), "prior.joint_mean is .* of shape .6, 1.: it must be finite and of shape .6,."),
        ("joint_std", np.ones(3), r"prior.joint_std is .* must be finite and of shape \(\) or \(6,\)"),
    ],
)
def test_a_prior_that_is_not_the_hands_says_what_it_must_be(field, value, words):
    prior = dataclasses.replace(three_finger.load().prior, **{field: value})
    with pytest.raises(ValueError, match=f"hand 'made_up': {words}"):
        describe("made_up", three_finger.build_spec, three_finger.FINGERS, three_finger.RADIUS, prior)


def test_a_palm_away_from_the_origin_is_refused():
    def lift(spec):
        spec.body("palm").pos = (0, 0, 0.1)

    with pytest.raises(ValueError, match="palm must stand at the origin"):
        _describe(lift)
