import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller import guidance

SCALE = np.float32([0.01, 0.02])  # m, of the two horizon steps
COMMAND = np.random.default_rng(0).normal(0, 0.02, (8, 3)).astype(np.float32)
CLEAN = np.random.default_rng(1).standard_normal((2, 8, 3), np.float32)
TOWARD = guidance.toward(COMMAND)


def _decode(motion):
    return motion * SCALE[:, None, None]


@functools.partial(jax.jit, static_argnames="distance")
def _compiled(alpha, variance, clean, distance):
    return guidance.pull(distance, _decode, clean, alpha, variance)


def _pull(alpha, variance=0.5, clean=CLEAN, distance=TOWARD):
    return np.asarray(_compiled(np.float32(alpha), np.float32(variance), clean, distance))


def _apart(motion):
    return np.linalg.norm(_decode(motion) - COMMAND[None], axis=-1)


def test_alpha_zero_changes_no_bit_even_for_a_command_that_is_not_a_number():
    np.testing.assert_array_equal(_pull(0.0), CLEAN)
    broken = guidance.toward(np.full((8, 3), np.nan, np.float32))
    np.testing.assert_array_equal(_pull(0.0, distance=broken), CLEAN)


@pytest.mark.parametrize("alpha", [1e12, jnp.inf])
def test_endless_strength_lands_on_the_command_and_stays(alpha):
    there = _pull(alpha)
    np.testing.assert_allclose(_apart(there), 0, atol=1e-7)
    np.testing.assert_allclose(_pull(alpha, clean=there), there, atol=1e-5)


def test_stronger_is_nearer_and_never_past_the_command():
    alphas = np.geomspace(1, 1e9, 40)
    moved = np.stack([_pull(alpha) for alpha in alphas])
    apart = _apart(moved)
    assert (apart[1:] <= apart[:-1] + 1e-8).all()
    before, after = (
        COMMAND[None] - _decode(CLEAN),
        COMMAND[None, None] - _decode(moved),
    )
    assert (np.sum(after * before[None], axis=-1) >= -1e-9).all()


def test_a_weak_pull_is_the_papers_gradient_step():
    alpha, variance = 3.0, 0.5
    gradient = np.asarray(jax.jit(jax.grad(lambda x: jnp.sum((_decode(x) - COMMAND[None]) ** 2)))(CLEAN))
    np.testing.assert_allclose(_pull(alpha) - CLEAN, -alpha * variance * gradient, rtol=2e-3, atol=1e-7)


def test_one_number_by_hand_is_bayes_for_a_unit_prior():
    # lambda = 2 * 5000 / m^2 * (0.01 m)^2 = 1 at the first step, variance 0.5: precisions 2 and 1,
    # so the motion goes one third of the way. At the second step lambda = 4: two thirds.
    moved = _pull(5000.0, 0.5)
    goal = COMMAND[None] / SCALE[:, None, None]
    share = np.float32([1 / 3, 2 / 3])[:, None, None]
    np.testing.assert_allclose(moved, CLEAN + share * (goal - CLEAN), atol=1e-5)


def test_weights_choose_the_keypoints_that_listen():
    tips = np.float32([1.0] * 4 + [0.0] * 4)
    moved = _pull(1e9, distance=guidance.toward(COMMAND, tips))
    np.testing.assert_allclose(_apart(moved)[:, :4], 0, atol=1e-6)
    np.testing.assert_array_equal(moved[:, 4:], CLEAN[:, 4:])


def test_any_distance_will_do():
    # Keep every keypoint's offset out of z > 1 cm: the hinge's pull ends on the border and leaves the rest alone.
    moved = _decode(_pull(1e9, distance=lambda motion: jnp.maximum(motion[..., 2] - 0.01, 0.0) ** 2))
    np.testing.assert_allclose(moved[..., 2], np.minimum(_decode(CLEAN)[..., 2], 0.01), atol=1e-6)
    np.testing.assert_allclose(moved[..., :2], _decode(CLEAN)[..., :2], rtol=1e-6)


def test_a_region_is_left_by_the_shortest_way():
    # Radius 3 cm around the palm's origin; the keypoint stands at x = 2 cm and would move by (0, 1, 0) cm.
    distance = guidance.keep_away(np.zeros(3), 0.03)(np.tile(np.float32([0.02, 0, 0]), (8, 1)))
    clean = np.tile(np.float32([0, 0.01, 0]), (2, 8, 1)) / SCALE[:, None, None]
    place = _decode(_pull(np.inf, clean=clean, distance=distance)) + [0.02, 0.0, 0.0]
    expected = 0.03 * np.array([2.0, 1.0, 0.0]) / np.sqrt(5)
    np.testing.assert_allclose(place, np.broadcast_to(expected, (2, 8, 3)), atol=1e-6)
    outside = np.tile(np.float32([0.02, 0, 0]), (2, 8, 1)) / SCALE[:, None, None]
    np.testing.assert_array_equal(_pull(jnp.inf, clean=outside, distance=distance), outside)


def test_the_centre_of_a_region_has_no_way_out_and_makes_no_nan():
    distance = guidance.keep_away(np.zeros(3), 0.03)(np.zeros((8, 3), np.float32))
    np.testing.assert_array_equal(_pull(np.inf, clean=np.zeros((2, 8, 3), np.float32), distance=distance), 0)


def test_a_speed_limit_shortens_and_keeps_the_direction():
    # 0.1 m/s at 10 Hz: 1 cm after one step, 2 cm after two.
    moved = _decode(_pull(np.inf, distance=guidance.speed_limit(0.1, 10.0)(np.zeros((8, 3), np.float32))))
    free = _decode(CLEAN)
    length = np.linalg.norm(free, axis=-1, keepdims=True)
    assert (length[0] > 0.01).any() and (length[0] < 0.01).any()
    expected = free * np.minimum(1.0, np.array([0.01, 0.02])[:, None, None] / length)
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_half_a_weight_is_half_the_strength():
    half = guidance.toward(COMMAND, np.full(8, 0.5, np.float32))
    np.testing.assert_allclose(_pull(2000.0, distance=half), _pull(1000.0), atol=1e-5)


def test_the_distance_of_a_motion_by_hand():
    # Offsets of 3 and 4 cm from the command at the two steps of keypoint 0, of which alone is spoken: rms 3.54 cm.
    motion, silence = np.zeros((2, 8, 3), np.float32), np.zeros((8, 3), np.float32)
    motion[0, 0, 0], motion[1, 0, 1], motion[:, 1] = 0.03, 0.04, 1.0
    only, nobody = np.eye(8, dtype=np.float32)[0], np.zeros(8, np.float32)
    rms_distance = jax.jit(guidance.rms_distance)
    found = rms_distance(motion, silence, only)
    np.testing.assert_allclose(found, np.sqrt((9e-4 + 16e-4) / 2), rtol=1e-6)
    assert rms_distance(motion, silence, nobody) == 0


def test_jit_and_vmap_agree_with_the_plain_call():
    alphas = np.float32([0.0, 10.0, 1e5, np.inf])
    plain = lambda alpha: guidance.pull(TOWARD, _decode, CLEAN, alpha, np.float32(0.5))
    batch = np.asarray(jax.jit(jax.vmap(plain))(alphas))
    for i, alpha in enumerate(alphas):
        np.testing.assert_allclose(batch[i], plain(alpha), atol=1e-5)


def test_strength_is_unitless_and_its_inverse_is_alpha():
    # s^2 = (1e-4 + 4e-4) / 2 m^2, alpha = 1000 / m^2: 2 * 1000 * 2.5e-4
    np.testing.assert_allclose(guidance.strength(1000.0, SCALE), 0.5, rtol=1e-6)
    np.testing.assert_allclose(guidance.alpha_of(0.5, SCALE), 1000.0, rtol=1e-6)


def test_a_command_of_the_wrong_shape_is_refused():
    with pytest.raises(AssertionError, match="shape"):
        _pull(1.0, distance=guidance.toward(COMMAND[:4]))
