import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller import listening
from dexgen_jax.controller.commands import Command
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.hand import allegro

N = 16  # joints
CONFIG = ListeningConfig()
STD = np.float32(0.038)  # of the networks' own action, rad
ALL = np.ones(N, np.float32)
NONE = np.zeros(N, np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _run(config, wanted):
    """The doubt (ticks,) about an operator who asks for `wanted` (ticks, n) [rad] where the hand would keep still."""

    def tick(doubt, wanted):
        doubt = listening.doubt(config, STD, doubt, wanted, NONE, ALL)
        return doubt, doubt

    return jax.lax.scan(tick, jnp.ones(()), jnp.asarray(wanted, jnp.float32))[1]


_doubt = jax.jit(functools.partial(listening.doubt, CONFIG, STD))
_precision = jax.jit(functools.partial(listening.precision, CONFIG))
_weigh = jax.jit(listening.weigh)


def test_the_doubt_is_the_variance_beyond_the_networks_own():
    rng = np.random.default_rng(0)
    for noise in (1.0, 2.0, 5.0):  # the networks' own error, in every tick anew, and as much of the operator's
        apart = STD * (rng.standard_normal((600, N)) - noise * rng.standard_normal((600, N)))
        np.testing.assert_allclose(np.mean(np.asarray(_run(CONFIG, apart))[100:]), noise**2, rtol=0.05)


def test_a_lasting_error_counts_as_a_shaking_one_does():
    shaking = 3 * STD * np.random.default_rng(1).choice([-1, 1], (100, N))
    lasting = np.full((100, N), 3 * STD)
    np.testing.assert_allclose(_run(CONFIG, lasting), _run(CONFIG, shaking), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(_run(CONFIG, lasting))[-1], 9 - 1, rtol=1e-3)


def test_one_tick_by_hand():
    # Twice the unit apart: 4, of which 1 is the networks' own. A tenth of the first guess 1 is forgotten: 0.9 + 0.3.
    np.testing.assert_allclose(_run(CONFIG, np.full((1, N), 2 * STD)), [1.2], rtol=1e-6)


def test_precision_stays_within_what_is_believed():
    for doubt, precise in ((-1.0, 100.0), (0.0, 100.0), (1.0, 1.0), (4.0, 0.25), (1e9, 0.01)):
        np.testing.assert_allclose(_precision(np.float32(doubt)), precise, rtol=1e-6)


def test_joints_that_are_not_spoken_of_do_not_count():
    weight = np.where(np.arange(N) < 4, np.float32(0.5), np.float32(0))
    wanted = np.float32(np.where(weight > 0, 2 * STD, 9.0))
    np.testing.assert_allclose(_doubt(np.float32(1), wanted, NONE, weight), 1.2, rtol=1e-6)
    assert np.isfinite(_doubt(np.float32(1), wanted, NONE, NONE))  # no 0 / 0


def test_two_opinions_are_weighed_by_their_precision():
    own, wanted = np.zeros(4, np.float32), np.ones(4, np.float32)
    weight = np.float32([1.0, 1.0, 0.5, 0.0])
    for strength, share in ((0.0, [0, 0, 0, 0]), (1.0, [1 / 2, 1 / 2, 1 / 3, 0]), (np.inf, [1, 1, 1, 0])):
        np.testing.assert_allclose(_weigh(own, wanted, np.float32(strength), weight), share, rtol=1e-6)
    # Nobody is heard: not even a command that is no number.
    np.testing.assert_array_equal(_weigh(own, np.nan * wanted, np.float32(0), weight), own)


def test_a_command_speaks_of_the_joints_that_move_its_keypoints():
    hand = allegro.load()
    joint_weight = jax.jit(functools.partial(listening.joint_weight, hand))
    tips = np.arange(hand.num_keypoints) < hand.num_tips
    for finger in range(hand.num_tips):
        spoken = joint_weight(_command(hand, np.where(np.arange(len(tips)) == finger, 0.7, 0.0)))
        np.testing.assert_allclose(spoken, np.where(np.arange(N) // 4 == finger, 0.7, 0.0))
    assert not np.any(joint_weight(_command(hand, np.zeros(len(tips)))))


def _command(hand, weight):
    return Command(np.zeros((hand.num_keypoints, 3), np.float32), np.float32(weight), NONE)


def test_settings_that_never_forget_or_believe_nothing_are_refused():
    for name in ("memory", "persistence"):
        with pytest.raises(ValueError, match=f"listening.{name} must be from 0 to below 1, got 1"):
            ListeningConfig(**{name: 1.0})
    for wrong in ((0.0, 1.0), (2.0, 1.0), (1.0, np.inf)):
        with pytest.raises(ValueError, match="listening needs 0 < doubt_range"):
            ListeningConfig(doubt_range=wrong)
