import dataclasses
import functools

import closed_form
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller import diffusion, guidance, sampler

SCHEDULE = diffusion.cosine_schedule(100)
SHAPE = (1, 50, 3)
SCALE = 0.01  # m
COMMAND = np.full((50, 3), 2 * SCALE, np.float32)


def _noise(mean, variance, steps):
    """The exact noise estimate where motions are normal: what a perfect network would say."""

    def predict_noise(noisy, i):
        signal = jnp.asarray(SCHEDULE.alpha_bar)[steps[i]]
        gain = variance * jnp.sqrt(signal) / (variance * signal + 1 - signal)
        clean = mean + gain * (noisy - jnp.sqrt(signal) * mean)
        return (noisy - jnp.sqrt(signal) * clean) / jnp.sqrt(1 - signal)

    return predict_noise


def _guide(strength):
    alpha = strength / (2 * SCALE**2)
    return lambda clean, variance: guidance.pull(guidance.toward(COMMAND), lambda x: x * SCALE, clean, alpha, variance)


@functools.partial(jax.jit, static_argnames=("eta", "guided"))
def _sample(steps, variance, strength, mean, eta, guided):
    predict, guide = _noise(mean, variance, steps), _guide(strength) if guided else None
    draw = lambda key: sampler.sample(SCHEDULE, steps, predict, key, SHAPE, guide, eta=eta)
    return jax.vmap(draw)(jax.random.split(jax.random.PRNGKey(0), 200))


def _draw(variance, steps, eta=0.0, strength=0.0, mean=0.0, guided=True):
    numbers = (jnp.float32(x) for x in (variance, strength, mean))
    return np.asarray(_sample(jnp.asarray(steps), *numbers, eta=eta, guided=guided))


@pytest.mark.parametrize("variance", [1.0, 0.09])
def test_ddpm_draws_from_the_prior(variance):
    drawn = _draw(variance, np.arange(100, -1, -1), eta=1.0, mean=0.7)
    np.testing.assert_allclose(drawn.mean(), 0.7, atol=0.02)
    np.testing.assert_allclose(drawn.std(), np.sqrt(variance), rtol=0.06)


@pytest.mark.parametrize("strength", [0.15, 0.6, 3.0, 30.0])
def test_guided_ddpm_draws_from_the_product_of_prior_and_command(strength):
    # Prior N(0, 1) times command N(2, 1 / lambda): mean 2 lambda / (1 + lambda), variance 1 / (1 + lambda).
    drawn = _draw(1.0, np.arange(100, -1, -1), eta=1.0, strength=strength)
    np.testing.assert_allclose(drawn.mean(), 2 * strength / (1 + strength), atol=0.02)
    np.testing.assert_allclose(drawn.std(), (1 + strength) ** -0.5, rtol=0.1)


@pytest.mark.parametrize("strength", [0.15, 0.6, 3.0, 30.0])
def test_guided_ddim_has_its_mean_and_less_of_its_spread(strength):
    drawn = _draw(1.0, diffusion.ddim_steps(SCHEDULE, 8), strength=strength)
    np.testing.assert_allclose(drawn.mean(), 2 * strength / (1 + strength), atol=0.05)
    exact = (1 + strength) ** -0.5
    assert 0.5 * exact < drawn.std() < exact  # measured: 0.85, 0.86, 0.85 and 0.78 of it


@pytest.mark.parametrize(("count", "eta"), [(100, 1.0), (12, 0.5), (8, 0.0)])
@pytest.mark.parametrize(("variance", "strength"), [(1.0, 0.6), (0.1, 3.0), (0.01, 30.0)])
def test_samples_are_those_that_the_closed_form_foretells(count, eta, variance, strength):
    steps = closed_form.ALL_STEPS if count == 100 else diffusion.ddim_steps(SCHEDULE, count)
    drawn = _draw(variance, steps, eta=eta, strength=strength)  # 30,000 numbers
    mean, std = closed_form.sampled(steps, variance, strength, eta)
    np.testing.assert_allclose(drawn.mean(), mean, atol=4 * std / 173 + 1e-3)
    np.testing.assert_allclose(drawn.std(), std, rtol=0.02)


def test_the_covariance_is_that_of_the_product_along_each_axis():
    # A prior with standard deviations 1, 0.5 and 0.2 along axes that are turned against x, y, z.
    deviations, strength = np.array([1.0, 0.5, 0.2]), 3.0
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    steps = closed_form.ALL_STEPS

    def predict_noise(noisy, i):
        signal, along = jnp.asarray(SCHEDULE.alpha_bar)[jnp.asarray(steps)[i]], noisy @ axes
        variance = jnp.asarray(deviations**2)[None, None]
        clean = variance * jnp.sqrt(signal) / (variance * signal + 1 - signal) * along @ axes.T
        return (noisy - jnp.sqrt(signal) * clean) / jnp.sqrt(1 - signal)

    draw = lambda key: sampler.sample(SCHEDULE, steps, predict_noise, key, SHAPE, _guide(strength), eta=1.0)
    drawn = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.PRNGKey(0), 400))).reshape(-1, 3)
    foretold = [closed_form.sampled(steps, deviation**2, strength, 1.0)[1] ** 2 for deviation in deviations]
    np.testing.assert_allclose(axes.T @ np.cov(drawn.T) @ axes, np.diag(foretold), atol=0.01)
    # Of the product itself: 0.25, 0.143 and 0.0357; the narrow axes follow the command more than they should.
    np.testing.assert_allclose(foretold, [0.233, 0.117, 0.0283], atol=1e-3)


def test_as_strength_grows_samples_become_the_product_whatever_the_prior():
    for variance in (1.0, 0.1, 0.01):
        apart = []
        for strength in (100.0, 1e3, 1e4, 1e6):
            mean, std = closed_form.sampled(closed_form.ALL_STEPS, variance, strength, 1.0)
            exact_mean, exact_std = closed_form.product(variance, strength)
            assert 0.5 * exact_std < std < exact_std or strength > 1e3  # then as narrow as the last step leaves it
            apart.append(abs(mean - exact_mean))
        assert (np.diff(apart) < 0).all() and apart[-1] < 1e-3


@pytest.mark.parametrize("count", [2, 8, 12, 97])
def test_stronger_guidance_never_oscillates(count):
    steps, strengths = diffusion.ddim_steps(SCHEDULE, count), np.geomspace(1e-3, 1e9, 60)
    for variance in (1.0, 0.1, 0.01):
        mean, std = np.transpose([closed_form.sampled(steps, variance, strength, 0.0) for strength in strengths])
        assert (np.diff(mean) > -1e-12).all() and (np.diff(std) < 1e-12).all()
        assert mean[-1] <= closed_form.COMMAND + 1e-12 and abs(mean[-1] - closed_form.COMMAND) < 1e-6 > std[-1]


@pytest.mark.parametrize(("variance", "even", "bent"), [(1.0, 0.87, 0.85), (0.1, 0.76, 0.83), (0.01, 0.43, 0.70)])
def test_bent_steps_keep_more_of_a_narrow_spread(variance, even, bent):
    for bend, kept in ((1.0, even), (1.5, bent)):
        drawn = _draw(variance, diffusion.ddim_steps(SCHEDULE, 8, bend=bend))
        np.testing.assert_allclose(drawn.std() / np.sqrt(variance), kept, atol=0.03)


def test_alpha_zero_is_unguided_bit_for_bit():
    steps = diffusion.ddim_steps(SCHEDULE, 8)
    np.testing.assert_array_equal(_draw(0.3, steps, strength=0.0), _draw(0.3, steps, guided=False))


def test_stronger_guidance_only_comes_nearer_and_lands_on_the_command():
    steps = diffusion.ddim_steps(SCHEDULE, 8)
    apart = []
    for strength in (0.0, 0.1, 1.0, 10.0, 100.0, 1e4, 1e9, np.inf):
        drawn = _draw(0.1, steps, strength=strength)
        assert drawn.mean() < 2.001  # never past it
        apart.append(np.abs(drawn - 2).mean())
    assert (np.diff(apart) <= 1e-6).all()
    assert apart[-1] < 1e-5


def test_many_motions_are_each_drawn_by_its_own_key(tiny, untrained):
    # Wider than tiny, in which normalising a group of two numbers makes a step of any rounding error.
    model = dataclasses.replace(tiny, width=64)
    weights = untrained.replace(denoiser=jax.jit(model.initial_parameters)(jax.random.PRNGKey(2))["denoiser"])
    condition, keys = np.full((4, 60), 0.3, np.float32), jax.random.split(jax.random.PRNGKey(4), 3)
    draw = jax.jit(lambda key: sampler.sample_motion(model, weights, condition, jnp.int32(1), key, eta=1.0))
    many = np.asarray(jax.vmap(draw)(keys))
    for key, motion in zip(np.asarray(keys), many, strict=True):
        np.testing.assert_allclose(draw(key), motion, atol=5e-3)  # of numbers up to 6
    assert np.abs(many[0] - many[1]).max() > 0.1


def test_a_motion_of_the_network_is_what_one_step_after_another_gives(tiny, untrained):
    condition, key = np.full((4, 60), 0.3, np.float32), jax.random.PRNGKey(4)
    drawn = jax.jit(lambda c: sampler.sample_motion(tiny, untrained, c, jnp.int32(1), key))(condition)

    def plainly(noisy, i):
        step = jnp.asarray(tiny.steps)[i]
        velocity = tiny.denoiser.apply(untrained.denoiser, noisy, step, condition, jnp.int32(1))
        return diffusion.noise_from_velocity(tiny.schedule, noisy, velocity, step)

    plain = sampler.sample(tiny.schedule, tiny.steps, plainly, key, tiny.motion_shape, limit=tiny.clean_limit)
    np.testing.assert_allclose(drawn, plain, atol=5e-3)


def test_the_limit_holds_before_guidance_and_not_after():
    steps = diffusion.ddim_steps(SCHEDULE, 4)
    wild = lambda noisy, i: -100 * noisy
    drawn = sampler.sample(SCHEDULE, steps, wild, jax.random.PRNGKey(0), SHAPE, limit=1.5)
    np.testing.assert_allclose(jnp.abs(drawn), 1.5, rtol=1e-5)
    guided = sampler.sample(SCHEDULE, steps, wild, jax.random.PRNGKey(0), SHAPE, _guide(np.inf), limit=1.5)
    np.testing.assert_allclose(guided, 2.0, rtol=1e-5)
