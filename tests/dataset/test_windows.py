import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.dataset import store, windows
from dexgen_jax.hand import allegro, kinematics

HAND = allegro.load()
H, T = 4, 2
CUT = jax.jit(lambda recording, at, noise=None: windows.cut(HAND, recording, at, H, T, noise))
CONDITION = jax.jit(lambda q, target: windows.condition(HAND, q, target))
POINTS = jax.jit(lambda q: kinematics.keypoints(HAND, q))


def _recording(streams=3, rows=40, seed=0):
    rng = np.random.default_rng(seed)
    middle = (HAND.lower + HAND.upper) / 2
    q = middle + 0.2 * rng.standard_normal((streams, rows, HAND.num_joints))
    target = q + 0.05 * rng.standard_normal(q.shape)
    flags = np.zeros((streams, rows), np.uint8)
    flags[:, 0] = store.FIRST
    mode = np.broadcast_to(np.arange(streams)[:, None], (streams, rows)).astype(np.uint8)
    index = windows.valid_index(flags, H, T, 5)
    arrays = q.astype(np.float32), target.astype(np.float32), mode, index, np.int32(len(index))
    return windows.Recording(*map(jnp.asarray, arrays))


def test_condition_is_tips_joints_targets_and_errors():
    recording = _recording()
    q, target = recording.q[0, :H], recording.target[0, :H]
    condition = CONDITION(q, target)
    assert condition.shape == (H, windows.condition_size(HAND)) == (4, 60)
    tips, joints, targets, errors = jnp.split(condition, [12, 28, 44], axis=1)
    np.testing.assert_allclose(tips[2].reshape(4, 3), POINTS(q[2])[:4], atol=1e-6)
    np.testing.assert_array_equal(joints, q)
    np.testing.assert_array_equal(targets - joints, errors)


def test_a_window_is_the_rows_around_its_own():
    recording = _recording()
    window = CUT(recording, 1 * 40 + 10)
    q, target = recording.q[1], recording.target[1]
    np.testing.assert_allclose(window.condition, CONDITION(q[7:11], target[7:11]), atol=1e-6)
    points = jax.vmap(POINTS)(q[10:13])
    np.testing.assert_allclose(window.offsets, points[1:] - points[:1], atol=1e-6)
    np.testing.assert_array_equal(window.action, target[11] - q[10])
    assert window.mode == 1


def test_reading_noise_reaches_the_condition_and_the_action_only():
    recording = _recording()
    at, noise = 20, jnp.full((H, HAND.num_joints), 0.01)
    plain = CUT(recording, at)
    shaken = CUT(recording, at, noise)
    np.testing.assert_array_equal(shaken.offsets, plain.offsets)
    np.testing.assert_allclose(shaken.condition[:, 12:28], plain.condition[:, 12:28] + 0.01, atol=1e-6)
    # The hand at run time adds the action to the reading it has, so that the target comes out the same.
    np.testing.assert_allclose(shaken.action, plain.action - 0.01, atol=1e-6)


def test_stored_integers_give_the_same_window_to_half_a_unit():
    recording = _recording()
    stored = recording.replace(
        **{name: jnp.round(getattr(recording, name) / store.RESOLUTION).astype(jnp.int16) for name in ("q", "target")}
    )
    at = 2 * 40 + 30
    exact, coarse = (CUT(rows, at) for rows in (recording, stored))
    np.testing.assert_allclose(coarse.condition, exact.condition, atol=1.1 * store.RESOLUTION)
    np.testing.assert_allclose(coarse.offsets, exact.offsets, atol=1e-4)


def test_drawing_agrees_with_cutting_and_repeats_with_its_key():
    recording = _recording()
    key = jax.random.PRNGKey(3)
    draw = jax.jit(lambda rows, k: windows.draw(HAND, rows, k, 8, H, T))
    batch, again = draw(recording, key), draw(recording, key)
    np.testing.assert_array_equal(batch.condition, again.condition)
    every = jax.jit(jax.vmap(lambda at: windows.cut(HAND, recording, at, H, T)))(recording.index)
    for action in batch.action:
        assert np.isclose(every.action, action).all(axis=1).any()


def test_noise_is_new_in_every_row_and_the_offset_the_same_in_all():
    recording, key = _recording(), jax.random.PRNGKey(5)
    readings = jax.jit(lambda noise: windows.draw(HAND, recording, key, 64, H, T, noise).condition[:, :, 12:28])
    plain, noisy, shifted = (np.asarray(readings(noise)) for noise in ((0.0, 0.0), (0.02, 0.0), (0.0, 0.01)))
    noise, offset = noisy - plain, shifted - plain
    np.testing.assert_allclose([noise.std(), offset.std()], [0.02, 0.01], rtol=0.1)
    np.testing.assert_allclose(offset, np.broadcast_to(offset[:, :1], offset.shape), atol=1e-6)
    assert abs(np.corrcoef(noise[:, 0].ravel(), noise[:, 1].ravel())[0, 1]) < 0.15  # of 1024 pairs: 5 sigma


def test_valid_rows_by_hand():
    # One stream of 20 rows, history 2, horizon 1: a window at t takes rows t - 1 .. t + 1.
    flags = np.zeros((1, 20), np.uint8)
    flags[0, [0, 8, 14]] = store.FIRST
    flags[0, 7] = store.DROP  # the first episode drops; its last 3 rows, 5 6 7, are not used
    flags[0, 13] = store.TRUNCATED  # the second runs to row 13, all of it is used
    flags[0, 17] |= store.INVALID
    index = windows.valid_index(flags, 2, 1, 3)
    assert index.dtype == np.int32
    assert index.tolist() == [1, 2, 3, 9, 10, 11, 12, 15]


def test_a_drop_of_the_next_episode_leaves_this_one_alone():
    flags = np.zeros((1, 12), np.uint8)
    flags[0, [0, 6]] = store.FIRST
    flags[0, 7] = store.DROP
    # Within 10 rows before the drop lie rows of the first episode, which ended well.
    assert windows.valid_index(flags, 1, 1, 10).tolist() == [0, 1, 2, 3, 4, 8, 9, 10]


def test_streams_too_short_for_a_window_give_none_and_a_wrong_shape_is_named():
    assert windows.valid_index(np.zeros((5, 5), np.uint8), 4, 2, 3).shape == (0,)
    with pytest.raises(ValueError, match=r"\(streams, rows\), got shape \(5,\)"):
        windows.valid_index(np.zeros(5, np.uint8), 4, 2, 3)
