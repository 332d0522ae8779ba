"""Noise schedule and DDIM step: how noise enters a keypoint motion, and how it leaves.

Motions are normalised offsets (unitless, near [-1, 1]); metres stop at `normalizer.py`. Step 0 is the clean motion and
step S pure noise, so the last DDIM step needs no special case.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

MAX_BETA = 0.999  # most of the signal that one step may destroy


@struct.dataclass
class NoiseSchedule:
    """`alpha_bar[t]` is the share of signal variance left at step t; alpha_bar[0] = 1."""

    alpha_bar: jax.Array  # (S + 1,), strictly falling, in (0, 1]

    @property
    def num_steps(self) -> int:
        """S, the step of pure noise."""
        return len(self.alpha_bar) - 1


def cosine_schedule(num_steps: int = 100) -> NoiseSchedule:
    """Returns the squared-cosine schedule, computed in float64. Source: arXiv:2102.09672, eq. 17."""
    if num_steps < 2:
        raise ValueError(f"a noise schedule needs at least 2 steps, got {num_steps}")
    angle = (np.arange(num_steps + 1) / num_steps + 0.008) / 1.008 * np.pi / 2
    signal = np.cos(angle) ** 2
    beta = np.minimum(1 - signal[1:] / signal[:-1], MAX_BETA)
    return NoiseSchedule(np.concatenate([[1.0], np.cumprod(1 - beta)]).astype(np.float32))


def ddim_steps(schedule: NoiseSchedule, num_samples: int, least_signal: float = 1e-3, bend: float = 1.5) -> np.ndarray:
    """Returns the (num_samples + 1,) falling steps that a sampler visits; the last is 0.

    The first is the noisiest step with alpha_bar of at least `least_signal`: beyond it a noise estimate's error is
    multiplied by more than 30 (by 2,000 at alpha_bar[100]) and there is nothing to read. `bend` > 1 spends more steps
    where little noise is left. There a few even steps lose most of the spread of well-determined motions: with 8 steps
    and a prior of 0.1 standard deviations, even steps keep 0.43 of it, bent ones 0.70 (tests/controller/test_sampler).
    """
    first = int(np.flatnonzero(np.asarray(schedule.alpha_bar) >= least_signal)[-1])
    if not 1 <= num_samples <= first:
        raise ValueError(f"between 1 and {first} sampling steps fit this noise schedule, got {num_samples}")
    wanted = first * np.linspace(1, 0, num_samples + 1) ** bend
    steps = np.round(wanted).astype(int)
    # Rounding may repeat small steps: lift each above the next one, from the end.
    floor = np.arange(num_samples, -1, -1)
    return np.maximum(steps, floor)


def add_noise(schedule: NoiseSchedule, clean: jax.Array, noise: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the motion (T, K, 3) at `step`. Source: arXiv:2006.11239, eq. 4."""
    chex.assert_equal_shape([clean, noise])
    signal = jnp.asarray(schedule.alpha_bar)[step]
    return jnp.sqrt(signal) * clean + jnp.sqrt(1 - signal) * noise


def velocity(schedule: NoiseSchedule, clean: jax.Array, noise: jax.Array, step: jax.Array) -> jax.Array:
    """Returns what the network learns, (T, K, 3): unit variance at every step. Source: arXiv:2202.00512, section 4."""
    chex.assert_equal_shape([clean, noise])
    signal = jnp.asarray(schedule.alpha_bar)[step]
    return jnp.sqrt(signal) * noise - jnp.sqrt(1 - signal) * clean


def noise_from_velocity(schedule: NoiseSchedule, noisy: jax.Array, velocity: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the noise (T, K, 3) in `noisy`. The noisier the step, the less an error of `velocity` matters."""
    chex.assert_equal_shape([noisy, velocity])
    signal = jnp.asarray(schedule.alpha_bar)[step]
    return jnp.sqrt(1 - signal) * noisy + jnp.sqrt(signal) * velocity


def clean_estimate(
    schedule: NoiseSchedule, noisy: jax.Array, noise: jax.Array, step: jax.Array, limit: float = jnp.inf
) -> jax.Array:
    """Returns the clean motion (T, K, 3) that the network's noise estimate implies, each number within +-`limit`."""
    chex.assert_equal_shape([noisy, noise])
    signal = jnp.asarray(schedule.alpha_bar)[step]
    return jnp.clip((noisy - jnp.sqrt(1 - signal) * noise) / jnp.sqrt(signal), -limit, limit)


def ddim_step(
    schedule: NoiseSchedule, noisy: jax.Array, clean: jax.Array, step: jax.Array, next_step: jax.Array,
    fresh: jax.Array | None = None, eta: float = 0.0,
) -> jax.Array:  # fmt: skip
    """Moves one motion (T, K, 3) from `step` down to `next_step`, believing the estimate `clean`; vmap to batch.

    The direction of the remaining noise is taken from `clean`, not from the network, so a clipped or guided estimate is
    followed consistently. `eta` = 0 uses no randomness; 1 with standard normal `fresh` (T, K, 3) is a DDPM step.
    Source: arXiv:2010.02502, eq. 12. The caller promises 0 <= next_step < step <= S: jit clamps bad indices.
    """
    chex.assert_equal_shape([noisy, clean])
    now, then = jnp.asarray(schedule.alpha_bar)[step], jnp.asarray(schedule.alpha_bar)[next_step]
    noise = (noisy - jnp.sqrt(now) * clean) / jnp.sqrt(1 - now)
    if fresh is None:
        return jnp.sqrt(then) * clean + jnp.sqrt(1 - then) * noise
    variance = eta**2 * posterior_variance(schedule, step, next_step)
    kept = jnp.sqrt(jnp.maximum(1 - then - variance, 0.0))
    return jnp.sqrt(then) * clean + kept * noise + jnp.sqrt(variance) * fresh


def posterior_variance(schedule: NoiseSchedule, step: jax.Array, next_step: jax.Array) -> jax.Array:
    """Returns the variance () of the motion at `next_step`, given it at `step` and at 0. Source: arXiv:2006.11239."""
    now, then = jnp.asarray(schedule.alpha_bar)[step], jnp.asarray(schedule.alpha_bar)[next_step]
    return (1 - then) / (1 - now) * (1 - now / then)


def clean_variance(schedule: NoiseSchedule, step: jax.Array) -> jax.Array:
    """Returns the variance of a clean unit-variance motion, given it at `step`: 1 - alpha_bar."""
    return 1 - jnp.asarray(schedule.alpha_bar)[step]
