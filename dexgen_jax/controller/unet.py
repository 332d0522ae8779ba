"""The denoiser: a U-Net of fully connected blocks that tells noise from motion.

Three parts are called apart, because they change at different rates: `encode` once per control tick, `modulate` for all
diffusion steps of the tick at once, `denoise` once per diffusion step. Source: arXiv:2502.04307, appendix F.

The paper's net predicts the noise. Ours predicts the velocity (arXiv:2202.00512), from which the noise follows by a
fixed linear rule (`diffusion.noise_from_velocity`): else a small net spends itself on copying its input.
"""

import math

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

GROUPS = 8
STEP_FEATURES = 32


class GroupNorm(nn.Module):
    """Gives each group of a vector (width,) mean 0 and variance 1, then scales and shifts every number.

    The function and the parameters are those of Flax's, which writes a group's statistics out for each of its numbers:
    gathered forth and scattered back, they made a third of the norms' time in a training step on a CPU.
    """

    groups: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns `x` (width,) normalised; statistics are float32 whatever `x` is."""
        scale = self.param("scale", nn.initializers.ones, x.shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, x.shape, jnp.float32)
        grouped = x.reshape(self.groups, -1).astype(jnp.float32)
        mean, square = (jnp.mean(value, axis=-1, keepdims=True) for value in (grouped, grouped**2))
        normal = (grouped - mean) * jax.lax.rsqrt(jnp.maximum(square - mean**2, 0.0) + 1e-6)
        return (normal.reshape(x.shape) * scale + bias).astype(x.dtype)


class Block(nn.Module):
    """Two normalised layers with FiLM between them, around a residual connection."""

    width: int

    @nn.compact
    def __call__(self, hidden: jax.Array, seen: jax.Array, film: jax.Array) -> jax.Array:
        """Changes `hidden` (width,) by what it reads in `seen` (n,); `film` (2, width) is scale and shift."""
        inner = self._layer(seen, "first")
        inner = inner * (1 + film[0]) + film[1]
        return hidden + self._layer(inner, "second")

    def _layer(self, x: jax.Array, name: str) -> jax.Array:
        x = nn.Dense(self.width, name=name)(x)
        return nn.silu(GroupNorm(GROUPS, name=f"{name}_norm")(x))


class Denoiser(nn.Module):
    """Predicts the velocity of a noisy motion (T, K, 3); unbatched, vmap to batch."""

    width: int
    encoder_width: int
    num_modes: int
    motion_shape: tuple[int, int, int]  # T, K, 3
    depth: int  # blocks on each side of the U
    encoder_layers: int

    def setup(self) -> None:
        """Declares the layers."""
        if self.width % GROUPS:
            raise ValueError(f"width must be a multiple of the {GROUPS} normalisation groups, got {self.width}")
        self.encoder = [nn.Dense(self.encoder_width) for _ in range(self.encoder_layers)]
        self.mode_embedding = nn.Embed(self.num_modes, self.width)
        self.condition_projection = nn.Dense(self.width)
        self.step_encoder = nn.Dense(self.width)
        self.step_projection = nn.Dense(self.width, use_bias=False)
        self.film = nn.Dense(2 * self.depth * 2 * self.width)
        self.entry = nn.Dense(self.width)
        self.down = [Block(self.width) for _ in range(self.depth)]
        self.up = [Block(self.width) for _ in range(self.depth)]
        self.exit = nn.Dense(math.prod(self.motion_shape))

    def encode(self, condition: jax.Array, mode: jax.Array) -> jax.Array:
        """Returns the code (width,) of a normalised condition (H, C) and a mode ()."""
        hidden = condition.reshape(-1)
        for layer in self.encoder:
            hidden = nn.silu(layer(hidden))
        return self.condition_projection(hidden) + self.mode_embedding(jnp.asarray(mode))

    def modulate(self, code: jax.Array, step: jax.Array) -> jax.Array:
        """Returns the FiLM parameters (..., 2 * depth, 2, width) of diffusion steps (...), all from one code.

        The joint projection of condition, mode and step is the sum of their projections: a dense layer over all three.
        """
        features = step_features(step).astype(code.dtype)
        hidden = self.step_projection(nn.silu(self.step_encoder(features)))
        return self.film(nn.silu(jnp.broadcast_to(code, hidden.shape) + hidden)).reshape(
            *jnp.shape(step), 2 * self.depth, 2, self.width
        )

    def denoise(self, noisy: jax.Array, film: jax.Array) -> jax.Array:
        """Returns the velocity (T, K, 3) of `noisy` (T, K, 3), given the FiLM parameters of its diffusion step."""
        chex.assert_shape([noisy, film], [self.motion_shape, (2 * self.depth, 2, self.width)])
        hidden, skips = self.entry(noisy.reshape(-1)), []
        for block, scale_and_shift in zip(self.down, film[: self.depth], strict=True):
            hidden = block(hidden, hidden, scale_and_shift)
            skips.append(hidden)
        for block, scale_and_shift in zip(self.up, film[self.depth :], strict=True):
            hidden = block(hidden, jnp.concatenate([hidden, skips.pop()], axis=-1), scale_and_shift)
        return self.exit(hidden).reshape(noisy.shape)

    def __call__(self, noisy: jax.Array, step: jax.Array, condition: jax.Array, mode: jax.Array) -> jax.Array:
        """Returns the velocity (T, K, 3): all three parts in a row, as training needs them."""
        return self.denoise(noisy, self.modulate(self.encode(condition, mode), step))


def step_features(step: jax.Array) -> jax.Array:
    """Returns sines and cosines (..., STEP_FEATURES) of diffusion steps (...). Source: arXiv:1706.03762."""
    rate = 1000.0 ** -(jnp.arange(STEP_FEATURES // 2, dtype=jnp.float32) / (STEP_FEATURES // 2))
    angle = jnp.multiply.outer(jnp.asarray(step, jnp.float32), rate)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
