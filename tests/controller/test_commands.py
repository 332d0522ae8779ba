import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import three_finger

from dexgen_jax.controller import commands
from dexgen_jax.hand import allegro, kinematics

HANDS = {"allegro": allegro.load(), "three_finger": three_finger.load()}
HAND = HANDS["allegro"]
Q = jnp.asarray(HAND.prior.joint_mean, jnp.float32)


@functools.cache
def _keypoints(hand):
    return jax.jit(functools.partial(kinematics.keypoints, hand))


@functools.cache
def _make(kind, hand=HAND):
    return jax.jit(functools.partial(commands.KINDS[kind].make, hand))


@pytest.mark.parametrize("hand", HANDS.values(), ids=HANDS)
@pytest.mark.parametrize("kind", commands.KINDS)
def test_every_kind_says_the_same_of_the_same_wish(hand, kind):
    q = jnp.asarray(hand.prior.joint_mean, jnp.float32)
    wanted = q + 0.05
    now, then = _keypoints(hand)(q), _keypoints(hand)(wanted)
    tips = slice(hand.num_tips)
    said = {
        "joints": wanted,
        "joint_offsets": wanted - q,
        "keypoint_offsets": then - now,
        "tip_offsets": (then - now)[tips],
        "tip_positions": then[tips],
    }[kind]
    assert said.shape == commands.KINDS[kind].shape(hand)
    command = _make(kind, hand)(q, said)
    heard = np.asarray(command.weight) > 0
    np.testing.assert_array_equal(heard, np.arange(hand.num_keypoints) < (hand.num_tips if "tip" in kind else 99))
    np.testing.assert_allclose(command.offsets[heard], (then - now)[heard], atol=1e-6)
    # The joint target brings the keypoints that count to where they are wanted.
    np.testing.assert_allclose(_keypoints(hand)(command.target)[heard], then[heard], atol=1e-3)


def test_asking_to_stay_is_no_offset():
    for kind, said in {"joints": Q, "tip_positions": _keypoints(HAND)(Q)[: HAND.num_tips]}.items():
        command = _make(kind)(Q, said)
        np.testing.assert_allclose(command.offsets, 0, atol=1e-7)
        np.testing.assert_allclose(command.target, Q, atol=1e-5)


def test_asking_for_nothing_weighs_nothing_and_keeps_the_target():
    command = commands.none(HAND, Q)
    assert not command.weight.any() and not command.offsets.any()
    np.testing.assert_array_equal(command.target, Q)


def test_joints_beyond_their_limits_ask_the_keypoints_for_the_limits():
    command, at_limit = (_make("joints")(Q, jnp.asarray(x, jnp.float32)) for x in (HAND.upper + 1, HAND.upper))
    np.testing.assert_allclose(command.offsets, at_limit.offsets, atol=1e-7)
    np.testing.assert_allclose(command.target, HAND.upper + 1, rtol=1e-6)  # what was asked is not hidden


def test_one_number_by_hand():
    # The last joint of a straight index finger bent by a right angle: the tip, 26.7 mm beyond it, goes 26.7 mm out of
    # the palm (+x) and 26.7 mm back along the finger, which leans 5 degrees toward +y.
    straight = jnp.zeros(HAND.num_joints)
    command = _make("joints")(straight, straight.at[3].set(jnp.pi / 2))
    lean = np.deg2rad(5)
    np.testing.assert_allclose(command.offsets[0], 0.0267 * np.array([1, -np.sin(lean), -np.cos(lean)]), atol=1e-5)
    np.testing.assert_allclose(command.offsets[1:3], 0, atol=1e-7)


def test_weights_of_keypoints_are_kept():
    weight = jnp.linspace(0, 1, HAND.num_keypoints)
    command = _make("keypoint_offsets")(Q, jnp.full((HAND.num_keypoints, 3), 0.01), weight)
    np.testing.assert_array_equal(command.weight, weight)


def test_jit_and_vmap_agree_with_the_plain_call():
    wishes = 0.01 * jax.random.normal(jax.random.PRNGKey(0), (3, HAND.num_tips, 3))
    batch = jax.jit(jax.vmap(functools.partial(commands.tip_offsets, HAND), (None, 0)))(Q, wishes)
    for i, wish in enumerate(wishes):
        single = _make("tip_offsets")(Q, wish)
        jax.tree.map(lambda many, one, i=i: np.testing.assert_allclose(many[i], one, atol=1e-5), batch, single)


def test_wrong_shapes_are_refused():
    with pytest.raises(AssertionError, match="shape"):
        commands.tip_offsets(HAND, Q, jnp.zeros((8, 3)))
    with pytest.raises(AssertionError, match="shape"):
        commands.keypoint_offsets(HAND, Q, jnp.zeros((4, 3)))
    with pytest.raises(AssertionError, match="shape"):
        commands.joints(HAND, Q, jnp.zeros(12))
