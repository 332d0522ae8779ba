import jax
import numpy as np
import pytest

from dexgen_jax.controller import diffusion

SCHEDULE = diffusion.cosine_schedule(100)
BY_HAND = diffusion.NoiseSchedule(np.float32([1.0, 0.64, 0.36]))
SHAPE = (2, 8, 3)
add_noise, clean_estimate, ddim_step, noise_from_velocity, posterior_variance, velocity_of = map(
    jax.jit,
    (
        diffusion.add_noise,
        diffusion.clean_estimate,
        diffusion.ddim_step,
        diffusion.noise_from_velocity,
        diffusion.posterior_variance,
        diffusion.velocity,
    ),
)


def _motion(seed):
    return np.random.default_rng(seed).standard_normal(SHAPE, np.float32)


def test_signal_only_falls_from_one():
    signal = np.asarray(SCHEDULE.alpha_bar)
    assert SCHEDULE.num_steps == 100 and signal[0] == 1
    assert (np.diff(signal) < 0).all() and signal[-1] > 0
    np.testing.assert_allclose(signal[-1], 2.43e-7, rtol=1e-2)  # the value that diffusers' squaredcos_cap_v2 has


@pytest.mark.parametrize("stops", [(100, 0), (90, 55, 54, 3, 0), tuple(range(60, -1, -1))])
def test_the_true_noise_leads_back_to_the_clean_motion_at_any_stride(stops):
    clean, noise = _motion(0), _motion(1)
    motion = add_noise(SCHEDULE, clean, noise, stops[0])
    for step, then in zip(stops[:-1], stops[1:], strict=True):
        estimate = clean_estimate(SCHEDULE, motion, noise, step)
        motion = ddim_step(SCHEDULE, motion, estimate, step, then)
        if then and step < 100:  # at step 100 float32 keeps three digits of a clean motion
            np.testing.assert_allclose(motion, add_noise(SCHEDULE, clean, noise, then), atol=1e-4)
    np.testing.assert_allclose(motion, clean, atol=1e-3 if stops[0] == 100 else 1e-4)


def test_noise_and_velocity_say_the_same():
    clean, noise = _motion(2), _motion(3)
    for step in (1, 50, 100):
        noisy = add_noise(SCHEDULE, clean, noise, step)
        velocity = velocity_of(SCHEDULE, clean, noise, step)
        np.testing.assert_allclose(noise_from_velocity(SCHEDULE, noisy, velocity, step), noise, atol=1e-5)


def test_numbers_by_hand():
    clean, noise = np.full(SHAPE, 1, np.float32), np.full(SHAPE, 0.5, np.float32)
    noisy = add_noise(BY_HAND, clean, noise, 2)
    np.testing.assert_allclose(noisy, 0.6 * 1 + 0.8 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(clean_estimate(BY_HAND, noisy, noise, 2), 1.0, rtol=1e-6)
    np.testing.assert_allclose(ddim_step(BY_HAND, noisy, clean, 2, 1), 0.8 * 1 + 0.6 * 0.5, rtol=1e-6)
    # beta = 1 - 0.36 / 0.64 = 0.4375; (1 - 0.64) / (1 - 0.36) * 0.4375
    np.testing.assert_allclose(posterior_variance(BY_HAND, 2, 1), 0.24609375, rtol=1e-6)
    assert posterior_variance(BY_HAND, 1, 0) == 0


def test_a_ddpm_step_has_the_mean_and_variance_of_the_posterior():
    noisy, clean = np.full(SHAPE, 1.3, np.float32), np.full(SHAPE, 0.4, np.float32)
    fresh = np.random.default_rng(0).standard_normal((4000, *SHAPE), np.float32)
    then = np.asarray(jax.vmap(lambda draw: ddim_step(BY_HAND, noisy, clean, 2, 1, draw, eta=1.0))(fresh))
    # arXiv:2006.11239, eq. 7: 0.8 * 0.4375 / 0.64 * clean + 0.75 * 0.36 / 0.64 * noisy, with sqrt(alpha) = 0.75
    np.testing.assert_allclose(then.mean(), 0.8 * 0.4375 / 0.64 * 0.4 + 0.75 * 0.36 / 0.64 * 1.3, atol=5e-3)
    np.testing.assert_allclose(then.var(), 0.24609375, rtol=0.02)


def test_a_wrong_noise_estimate_cannot_blow_up_the_clean_one():
    noisy = _motion(4)
    wrong = noisy + 0.1
    assert np.abs(clean_estimate(SCHEDULE, noisy, wrong, 100)).max() > 150  # the trap of a cosine schedule
    limited = clean_estimate(SCHEDULE, noisy, wrong, 100, limit=6.0)
    assert np.abs(limited).max() <= 6
    assert np.abs(ddim_step(SCHEDULE, noisy, limited, 100, 80)).max() < 6


@pytest.mark.parametrize("count", [1, 2, 8, 12, 50, 97])
def test_sampling_steps_fall_to_zero_and_start_where_there_is_signal(count):
    steps = diffusion.ddim_steps(SCHEDULE, count)
    assert len(steps) == count + 1 and steps[-1] == 0 and (np.diff(steps) < 0).all()
    assert steps[0] == 97 and SCHEDULE.alpha_bar[97] >= 1e-3 > SCHEDULE.alpha_bar[98]


def test_jit_and_vmap_agree_with_the_plain_step():
    noisy, clean = np.stack([_motion(5), _motion(6)]), np.stack([_motion(7), _motion(8)])
    step, then = np.array([70, 20]), np.array([50, 0])
    batched = jax.jit(jax.vmap(lambda *a: diffusion.ddim_step(SCHEDULE, *a)))(noisy, clean, step, then)
    for i in range(2):
        single = diffusion.ddim_step(SCHEDULE, noisy[i], clean[i], step[i], then[i])
        np.testing.assert_allclose(batched[i], single, rtol=1e-6, atol=1e-6)


def test_errors_name_the_limit():
    with pytest.raises(ValueError, match="at least 2 steps, got 1"):
        diffusion.cosine_schedule(1)
    with pytest.raises(ValueError, match="between 1 and 97 sampling steps fit this noise schedule, got 200"):
        diffusion.ddim_steps(SCHEDULE, 200)
