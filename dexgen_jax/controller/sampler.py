"""The sampler: from noise to a motion in a few DDIM steps, with a guide that may bend each clean estimate."""

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
MOST_UNROLLED = 12  # sampling steps; compile time grows with them


def sample(
    schedule: diffusion.NoiseSchedule, steps: np.ndarray, predict_noise: PredictNoise, key: jax.Array,
    shape: tuple[int, int, int], guide: Guide | None = None, limit: float = np.inf, eta: float = 0.0,
    temperature: float = 1.0, unroll: bool = True,
) -> jax.Array:  # fmt: skip
    """Draws one normalised motion of `shape` (T, K, 3); vmap to batch.

    `steps` falls to 0, see `diffusion.ddim_steps`. `limit` bounds the network's clean estimate, before it is guided.
    `eta` = 0 is DDIM (all randomness is in the starting noise), 1 DDPM. `temperature` is the standard deviation of the
    starting noise: 1 draws from all motions, less stays nearer to the likely ones. `unroll`: whether a few steps are
    compiled as one program without a loop, which runs a batch 1.5 times faster on a CPU, and a single motion slower.
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

    count = len(steps) - 1
    return jax.lax.scan(descend, motion, jnp.arange(count), unroll=unroll and count <= MOST_UNROLLED)[0]


def sample_motions(
    model: Model, weights: Weights, condition: jax.Array, mode: jax.Array, keys: jax.Array,
    guide: Guide | None = None, eta: float = 0.0, temperature: float = 1.0,
) -> jax.Array:  # fmt: skip
    """Draws a normalised motion for each of `keys` (N, 2), (N, T, K, 3), all for one condition (H, C) and mode ().

    The condition is encoded once, and the FiLM parameters of all steps are computed at once: reading weights from
    memory is what sampling costs on a CPU, and so theirs are read once instead of once per step and motion.
    """
    schedule, steps = model.schedule, jnp.asarray(model.steps)
    denoiser = model.denoiser.clone(folded=weights.one_hand)

    def network(*inputs: jax.Array, method: str) -> jax.Array:
        return denoiser.apply(weights.denoiser, *inputs, method=method)

    films = network(network(condition, mode, method="encode"), steps[:-1], method="modulate")

    def predict_noise(noisy: jax.Array, i: jax.Array) -> jax.Array:
        # Picked by a product for a single hand: XLA would draw an indexing into each use, and slow the loops there.
        picked = jax.nn.one_hot(i, len(films), dtype=films.dtype)
        film = jnp.tensordot(picked, films, 1) if weights.one_hand else films[i]
        velocity = network(noisy, film, method="denoise")
        return diffusion.noise_from_velocity(schedule, noisy, velocity, steps[i])

    def draw(key: jax.Array) -> jax.Array:
        shape, limit, unroll = model.motion_shape, model.clean_limit, not weights.one_hand
        return sample(schedule, steps, predict_noise, key, shape, guide, limit, eta, temperature, unroll)

    # One motion is drawn without a batch axis: a matrix times a vector is what a CPU does best, see docs/sampler.md.
    return draw(keys[0])[None] if len(keys) == 1 else jax.vmap(draw)(keys)


def sample_motion(
    model: Model, weights: Weights, condition: jax.Array, mode: jax.Array, key: jax.Array, guide: Guide | None = None,
    temperature: float = 1.0,
) -> jax.Array:  # fmt: skip
    """Draws one normalised motion (T, K, 3), see `sample_motions`."""
    return sample_motions(model, weights, condition, mode, key[None], guide, temperature=temperature)[0]
