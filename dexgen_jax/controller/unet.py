"""The denoiser: a U-Net of fully connected blocks that tells noise from motion.

Three parts are called apart, because they change at different rates: `encode` once per control tick, `modulate` for all
diffusion steps of the tick at once, `denoise` once per diffusion step. Source: arXiv:2502.04307, appendix F.

The paper's net predicts the noise. Ours predicts the velocity (arXiv:2202.00512), from which the noise follows by a
fixed linear rule (`diffusion.noise_from_velocity`): else a small net spends itself on copying its input.
"""

import math
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.controller.dense import Dense

GROUPS = 8
STEP_FEATURES = 32


class GroupNorm(nn.Module):
    """Gives each of the groups of a vector (width,) mean 0 and variance 1, then scales and shifts every number."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns (width,)."""
        scale = self.param("scale", nn.initializers.ones, x.shape)
        bias = self.param("bias", nn.initializers.zeros, x.shape)
        grouped = x.reshape(GROUPS, -1)
        mean, square = _means(grouped), _means(grouped**2)
        normal = (grouped - mean) * jax.lax.rsqrt(jnp.maximum(square - mean**2, 0.0) + 1e-6)
        return normal.reshape(-1) * scale + bias


def _means(rows: jax.Array) -> jax.Array:
    """Means (N, 1) of rows (N, n). Pieces of 32 are added first: XLA sums a longer row on a CPU in two kernels."""
    pieces = jnp.split(rows, rows.shape[1] // 32, axis=1) if rows.shape[1] % 32 == 0 else [rows]
    return sum(pieces).sum(axis=1, keepdims=True) / rows.shape[1]


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
        x = Dense(self.width, name=name)(x)
        return nn.silu(GroupNorm(name=f"{name}_norm")(x))


class Denoiser(nn.Module):
    """Predicts the velocity of a noisy motion (T, K, 3); unbatched, vmap to batch."""

    width: int
    encoder_width: int
    num_modes: int
    motion_shape: tuple[int, int, int]  # T, K, 3
    depth: int  # blocks on each side of the U
    encoder_layers: int
    folded: bool = False  # whether the parameters come from `fold`

    def setup(self) -> None:
        """Declares the layers."""
        if self.width % GROUPS:
            raise ValueError(f"width must be a multiple of the {GROUPS} normalisation groups, got {self.width}")
        self.encoder = [Dense(self.encoder_width) for _ in range(self.encoder_layers)]
        self.mode_embedding = nn.Embed(self.num_modes, self.width)
        self.condition_projection = Dense(self.width)
        self.step_encoder = Dense(self.width)
        self.step_projection = Dense(self.width, use_bias=False)
        self.film = Dense(2 * self.depth * 2 * self.width)
        self.entry = Dense(self.width)
        self.down = [Block(self.width) for _ in range(self.depth)]
        self.up = [Block(self.width) for _ in range(self.depth)]
        self.exit = Dense(math.prod(self.motion_shape))

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
        if self.folded:
            hidden = self.get_variable("params", "step_codes")[step]
        else:
            hidden = self.step_projection(nn.silu(self.step_encoder(step_features(step))))
        return self.film(nn.silu(jnp.broadcast_to(code, hidden.shape) + hidden)).reshape(
            *jnp.shape(step), 2 * self.depth, 2, self.width
        )

    def denoise(self, noisy: jax.Array, film: jax.Array) -> jax.Array:
        """Returns the velocity (T, K, 3) of `noisy` (T, K, 3), given the FiLM parameters of its diffusion step."""
        chex.assert_shape([noisy, film], [self.motion_shape, (2 * self.depth, 2, self.width)])
        noisy_numbers = noisy.reshape(-1)
        hidden, skips = self.entry(noisy_numbers), []
        for i, block in enumerate(self.down):
            seen = noisy_numbers if self.folded and i == 0 else hidden
            hidden = block(hidden, seen, film[i])
            skips.append(hidden)
        for i, block in enumerate(self.up):
            skip = skips.pop()
            seen = hidden if self.folded and i == 0 else jnp.concatenate([hidden, skip], axis=-1)
            hidden = block(hidden, seen, film[self.depth + i])
        return self.exit(hidden).reshape(noisy.shape)

    def __call__(self, noisy: jax.Array, step: jax.Array, condition: jax.Array, mode: jax.Array) -> jax.Array:
        """Returns the velocity (T, K, 3): all three parts in a row, as training needs them."""
        return self.denoise(noisy, self.modulate(self.encode(condition, mode), step))


def fold(parameters: Any, num_steps: int) -> Any:
    """Returns a `Denoiser`'s parameters for `folded`: the same function with less to read, for steps 0 to `num_steps`.

    The first block reads the noisy numbers through one matrix, the product of its own and the entry's: nothing lies
    between them. At the bottom of the U, hidden and skip are the same vector, so the matrices of both are added. And
    the codes of the diffusion steps, which depend on nothing else, become a table.
    """
    tree = dict(parameters["params"])
    step, projection = tree.pop("step_encoder"), tree.pop("step_projection")
    hidden = nn.silu(step_features(jnp.arange(num_steps + 1)) @ step["kernel"] + step["bias"][None])
    tree["step_codes"] = hidden @ projection["kernel"]
    # In 64 bits: sums that are rounded once more would be seen at the noisiest steps.
    entry, first, bottom = (
        jax.tree.map(lambda x: np.asarray(x, np.float64), layer)
        for layer in (tree["entry"], tree["down_0"]["first"], tree["up_0"]["first"])
    )
    joined = {
        "kernel": entry["kernel"] @ first["kernel"],
        "bias": entry["bias"] @ first["kernel"] + first["bias"],
    }
    both = {"kernel": sum(np.split(bottom["kernel"], 2)), "bias": bottom["bias"]}
    for block, layer in (("down_0", joined), ("up_0", both)):
        tree[block] = {**tree[block], "first": jax.tree.map(jnp.float32, layer)}
    return {**parameters, "params": tree}


def step_features(step: jax.Array) -> jax.Array:
    """Returns sines and cosines (..., STEP_FEATURES) of diffusion steps (...). Source: arXiv:1706.03762."""
    rate = 1000.0 ** -(jnp.arange(STEP_FEATURES // 2, dtype=jnp.float32) / (STEP_FEATURES // 2))
    angle = jnp.multiply.outer(jnp.asarray(step, jnp.float32), rate)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
