"""The sampler: from noise to a motion in a few DDIM steps, with a guide that may bend each clean estimate."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.controller import diffusion
from dexgen_jax.controller.model import Model, Weights

PredictNoise = Callable[[jax.Array, jax.Array], jax.Array]  # noisy (T, K, 3), number of the step -> noise
Guide = Callable[[jax.Array, jax.Array], jax.Array]  # clean estimate (T, K, 3), its variance () -> a better estimate

# Standard deviation of the noise that a controller starts sampling from. At 1, as in the paper, the drawn action is
# further from the recorded one, and drops are more: docs/guidance.md.
TEMPERATURE = 0.3


def sample(
    schedule: diffusion.NoiseSchedule, steps: np.ndarray, predict_noise: PredictNoise, key: jax.Array,
    shape: tuple[int, int, int], guide: Guide | None = None, limit: float = np.inf, eta: float = 0.0,
    temperature: float = 1.0, unroll: int = 1,
) -> jax.Array:  # fmt: skip
    """Draws one normalised motion of `shape` (T, K, 3); vmap to batch.

    `steps` falls to 0, see `diffusion.ddim_steps`. `limit` bounds the network's clean estimate, before it is guided.
    `eta` = 0 is DDIM (all randomness is in the starting noise), 1 DDPM. `temperature` is the standard deviation of the
    starting noise: 1 draws from all motions, less stays nearer to the likely ones. `unroll` as in `jax.lax.scan`.
    """
    key_start, key_fresh = jax.random.split(key)
    motion = temperature * jax.random.normal(key_start, shape, jnp.float32)
    steps = jnp.asarray(steps)

    def descend(motion: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        clean = diffusion.clean_estimate(schedule, motion, predict_noise(motion, i), steps[i], limit)
        if guide is not None:
            clean = guide(clean, diffusion.clean_variance(schedule, steps[i]))
        fresh = jax.random.normal(jax.random.fold_in(key_fresh, i), shape, jnp.float32) if eta > 0 else None
        return diffusion.ddim_step(schedule, motion, clean, steps[i], steps[i + 1], fresh, eta), None

    return jax.lax.scan(descend, motion, jnp.arange(len(steps) - 1), unroll=unroll)[0]


def sample_motion(
    model: Model, weights: Weights, condition: jax.Array, mode: jax.Array, key: jax.Array, guide: Guide | None = None,
    eta: float = 0.0, temperature: float = 1.0,
) -> jax.Array:  # fmt: skip
    """Draws one normalised motion (T, K, 3) for a condition (H, C) and mode (); vmap over `key` to draw several.

    The condition is encoded once, and the FiLM parameters of all steps are computed at once: they depend on neither the
    key nor the motion.
    """
    schedule, steps = model.schedule, jnp.asarray(model.steps)
    network = functools.partial(model.denoiser.apply, weights.denoiser)
    films = network(network(condition, mode, method="encode"), steps[:-1], method="modulate")

    def predict_noise(noisy: jax.Array, i: jax.Array) -> jax.Array:
        velocity = network(noisy, films[i], method="denoise")
        return diffusion.noise_from_velocity(schedule, noisy, velocity, steps[i])

    shape, limit = model.motion_shape, model.clean_limit
    return sample(schedule, steps, predict_noise, key, shape, guide, limit, eta, temperature, model.unroll)
