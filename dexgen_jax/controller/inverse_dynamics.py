"""Inverse dynamics: which joint targets bring about a keypoint motion, as a normal distribution.

The mean is the regression of the paper; the spread is how far such targets scatter around it.
Source: arXiv:2502.04307, section III-C.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Normal:
    """Independent normal distributions over the n joints of a normalised action."""

    mean: jax.Array  # (n,)
    log_std: jax.Array  # (n,)


class InverseDynamics(nn.Module):
    """Residual MLP from condition and motion to an action; unbatched, vmap to batch."""

    width: int
    num_joints: int
    num_blocks: int = 4

    @nn.compact
    def __call__(self, condition: jax.Array, offsets: jax.Array) -> Normal:
        """Reads a normalised condition (H, C) and offsets (T, K, 3)."""
        hidden = nn.Dense(self.width)(jnp.concatenate([condition.reshape(-1), offsets.reshape(-1)]))
        for _ in range(self.num_blocks):
            inner = nn.silu(nn.Dense(self.width)(nn.LayerNorm()(hidden)))
            hidden = hidden + nn.Dense(self.width)(inner)
        mean = nn.Dense(self.num_joints)(nn.LayerNorm()(hidden))
        return Normal(mean, self.param("log_std", nn.initializers.zeros, (self.num_joints,)))


def regression_loss(normal: Normal, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the mean squared error and the negative log-likelihood of the residual under the spread, both ().

    The likelihood sees the mean as a constant, so it fits the spread and leaves the regression as it is.
    """
    residual = action - normal.mean
    scaled = jax.lax.stop_gradient(residual) * jnp.exp(-normal.log_std)
    return jnp.mean(residual**2), jnp.mean(0.5 * scaled**2 + normal.log_std)
