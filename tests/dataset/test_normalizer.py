import jax
import numpy as np
import pytest

from dexgen_jax.dataset import normalizer
from dexgen_jax.dataset.windows import Window

fit = jax.jit(normalizer.fit)


def _windows(batch=500, seed=0):
    rng = np.random.default_rng(seed)
    condition = rng.normal(0.3, 0.2, (batch, 4, 60)).astype(np.float32)
    condition[:, :, 5] = 0.7  # a joint that never moves
    offsets = rng.normal(0, [[[[0.01]], [[0.02]]]], (batch, 2, 8, 3)).astype(np.float32)
    action = rng.normal(0.1, 0.05, (batch, 16)).astype(np.float32)
    return Window(condition, offsets, np.zeros(batch, np.int32), action)


def test_encoding_and_decoding_are_inverse_and_zero_motion_stays_zero():
    windows = _windows()
    fitted = fit(windows)
    offsets, action = windows.offsets[7], windows.action[7]
    np.testing.assert_allclose(fitted.decode_offsets(fitted.encode_offsets(offsets)), offsets, rtol=1e-6)
    np.testing.assert_allclose(fitted.decode_action(fitted.encode_action(action)), action, atol=1e-7)
    np.testing.assert_array_equal(fitted.decode_offsets(np.zeros((2, 8, 3))), 0)


def test_encoded_windows_have_zero_mean_and_unit_spread():
    windows = _windows()
    fitted = fit(windows)
    condition = jax.vmap(fitted.encode_condition)(windows.condition)
    moving = np.arange(60) != 5
    np.testing.assert_allclose(condition.mean(0)[:, moving], 0, atol=1e-5)
    np.testing.assert_allclose(condition.std(0)[:, moving], 1, atol=1e-3)
    np.testing.assert_allclose(jax.vmap(fitted.encode_action)(windows.action).std(0), 1, atol=1e-3)


def test_one_scale_for_each_horizon_step_keeps_distances_isotropic():
    fitted = fit(_windows())
    np.testing.assert_allclose(fitted.offset_std, [0.01, 0.02], rtol=0.02)
    offsets = np.zeros((2, 8, 3), np.float32)
    offsets[1, 3, 2] = 0.05
    np.testing.assert_allclose(np.linalg.norm(fitted.encode_offsets(offsets)), 0.05 / 0.02, rtol=0.02)


def test_features_that_never_move_are_not_blown_up():
    fitted = fit(_windows())
    np.testing.assert_allclose(fitted.condition_std[:, 5], normalizer.FLOOR)
    shifted = _windows().condition[0] + np.float32(1e-3)
    assert np.abs(fitted.encode_condition(shifted)[:, 5]).max() < 1.01


def test_offsets_have_a_scale_about_zero_and_what_never_moves_a_floor():
    windows = _windows()
    drifting = windows.replace(offsets=windows.offsets + np.float32([0.03, 0.04])[:, None, None])
    # About zero, not about their mean: sqrt(1^2 + 3^2) and sqrt(2^2 + 4^2) cm.
    np.testing.assert_allclose(fit(drifting).offset_std, [0.0316, 0.0447], rtol=0.02)
    still = fit(windows.replace(offsets=0 * windows.offsets, action=0 * windows.action))
    np.testing.assert_allclose(still.offset_std, normalizer.OFFSET_FLOOR)
    np.testing.assert_allclose(still.action_std, normalizer.FLOOR)


def test_statistics_refuse_windows_without_a_batch_axis():
    window = jax.tree.map(lambda x: x[0], _windows())
    with pytest.raises(AssertionError, match="rank"):
        fit(window)
    with pytest.raises(AssertionError, match="shape"):
        fit(_windows()).encode_offsets(np.zeros((3, 8, 3)))
