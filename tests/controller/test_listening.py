import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller import listening
from dexgen_jax.controller.commands import Command
from dexgen_jax.controller.listening import Heard, ListeningConfig

K, SPREAD = 8, 0.002  # keypoints, m
CONFIG = ListeningConfig()
PAPER = ListeningConfig(memory=0.0, jitter_range=(1.0, 1.0))


def _command(offsets, weight=None):
    return Command(jnp.asarray(offsets, jnp.float32), jnp.ones(K) if weight is None else weight, jnp.zeros(16))


@functools.partial(jax.jit, static_argnums=0)
def _run(config, commands, share):
    """Hears commands (ticks, K, 3), of each of which `share` is done; returns what was asked, precision and memory."""

    def tick(heard, offsets):
        asked, precision, heard = listening.hear(config, heard, _command(offsets), jnp.float32(SPREAD))
        heard = listening.settle(config, heard, asked.offsets, share * asked.offsets, jnp.bool_(True))
        return heard, (asked.offsets, precision, heard)

    return jax.lax.scan(tick, Heard.nobody(K), commands)[1]


def test_the_noise_is_that_of_the_operator_whatever_it_intends():
    rng, ticks = np.random.default_rng(0), 400
    intention = 0.003 * np.sin(np.arange(ticks) / 20)[:, None, None]  # a wave of 12 s
    for noise in (0.0005, 0.002, 0.008):
        *_, heard = _run(CONFIG, intention + noise * rng.standard_normal((ticks, K, 3)), 1.0)
        believed = SPREAD * np.sqrt(np.mean(heard.jitter[100:]))
        np.testing.assert_allclose(believed, noise, rtol=0.05)


def test_precision_is_one_over_the_variance_in_units_of_the_motions():
    noise = 2.0 * SPREAD * np.random.default_rng(1).standard_normal((400, K, 3))
    _, precision, _ = _run(ListeningConfig(memory=0.0), noise, 1.0)
    assert precision[0] == 1  # nothing is known of a first command
    np.testing.assert_allclose(np.mean(1 / precision[100:]), 4.0, rtol=0.05)
    # With memory 0.8 what is asked has the noise of all commands: a geometric sum, 1 / (1 - 0.64) times as much.
    _, precision, _ = _run(CONFIG, noise, 1.0)
    np.testing.assert_allclose(np.mean(1 / precision[100:]), 4.0 / 0.36, rtol=0.05)


def test_a_steady_operator_is_heard_as_far_as_is_believed():
    *_, heard = _run(CONFIG, np.full((300, K, 3), 0.001), 1.0)
    assert heard.jitter[-1] < 1e-6
    np.testing.assert_allclose(heard.doubt[-1], 0.1**2 / (1 - 0.8**2), rtol=1e-3)


def test_one_jump_by_hand():
    # From zero to 4 mm in each coordinate: half the squared jump is 8 mm^2, 2 in units of (2 mm)^2. The estimate
    # forgets a tenth of its first guess 1: 0.9 + 0.1 * 2.
    _, precision, heard = _run(ListeningConfig(memory=0.5), np.stack([np.zeros((K, 3)), np.full((K, 3), 0.004)]), 1.0)
    np.testing.assert_allclose(heard.jitter, [1.0, 1.1], rtol=1e-5)
    np.testing.assert_allclose(1 / precision, [1.0, 0.25 * 1.0 + 1.1], rtol=1e-5)


def test_what_was_not_done_is_asked_again_and_fades():
    commands = np.zeros((4, K, 3))
    commands[0, 0, 0] = 0.01
    asked, _, _ = _run(CONFIG, commands, 0.0)
    np.testing.assert_allclose(asked[:, 0, 0], 0.01 * 0.8 ** np.arange(4), rtol=1e-5)
    done, _, _ = _run(CONFIG, commands, 1.0)
    np.testing.assert_allclose(done[:, 0, 0], [0.01, 0, 0, 0], atol=1e-9)


def test_who_stops_asking_is_obeyed_within_a_second_and_nothing_winds_up():
    commands = np.concatenate([np.full((600, K, 3), 0.1), np.zeros((11, K, 3))])  # a minute of what cannot be done
    asked, _, heard = _run(CONFIG, commands, 0.0)
    assert np.linalg.norm(heard.undone, axis=-1).max() <= CONFIG.longest * (1 + 1e-5)
    assert np.linalg.norm(asked[-1], axis=-1).max() < 0.003  # 1 s after the end, a tenth of the longest


def test_the_papers_rule_measures_and_remembers_nothing():
    commands = 0.01 * np.random.default_rng(2).standard_normal((50, K, 3)).astype(np.float32)
    asked, precision, _ = _run(PAPER, commands, 0.3)
    np.testing.assert_array_equal(asked, commands)
    np.testing.assert_array_equal(precision, 1.0)


def test_who_is_not_listened_to_is_forgotten_but_for_the_noise():
    heard = Heard(jnp.ones((K, 3)), jnp.ones((K, 3)), jnp.float32(3.0), jnp.float32(2.0))
    after = listening.settle(CONFIG, heard, jnp.ones((K, 3)), jnp.zeros((K, 3)), jnp.bool_(False))
    assert not after.offsets.any() and not after.undone.any() and (after.jitter, after.doubt) == (3.0, 0.0)


def test_keypoints_that_are_free_neither_count_nor_are_remembered():
    weight = jnp.where(jnp.arange(K) < 4, 1.0, 0.0)
    tips = np.zeros((K, 3))
    tips[:4] = 0.004
    heard = Heard.nobody(K).replace(doubt=jnp.float32(1.0), undone=jnp.full((K, 3), 0.01))
    asked, _, heard = listening.hear(CONFIG, heard, _command(tips, weight), jnp.float32(SPREAD))
    np.testing.assert_allclose(heard.jitter, 0.9 + 0.1 * 2, rtol=1e-5)  # as if all had jumped, see above
    np.testing.assert_allclose(asked.offsets[4:], 0.0)
    np.testing.assert_allclose(asked.offsets[:4], 0.012, rtol=1e-5)
    # Without anybody who counts nothing is divided by zero.
    _, precision, _ = listening.hear(CONFIG, heard, _command(tips, jnp.zeros(K)), jnp.float32(SPREAD))
    assert np.isfinite(precision)


def test_settings_that_wind_up_or_believe_nothing_are_refused():
    with pytest.raises(ValueError, match="listening.memory must be from 0 to below 1, got 1"):
        ListeningConfig(memory=1.0)
    with pytest.raises(ValueError, match="jitter_range"):
        ListeningConfig(jitter_range=(2.0, 1.0))
