"""Inverse dynamics: which joint targets bring about a keypoint motion.

Source: arXiv:2502.04307, section III-C.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


class InverseDynamics(nn.Module):
    """Residual MLP from condition and motion to an action; unbatched, vmap to batch."""

    width: int
    num_joints: int
    num_blocks: int = 4

    @nn.compact
    def __call__(self, condition: jax.Array, offsets: jax.Array) -> jax.Array:
        """Reads a normalised condition (H, C) and offsets (T, K, 3), returns a normalised action (n,)."""
        hidden = nn.Dense(self.width)(jnp.concatenate([condition.reshape(-1), offsets.reshape(-1)]))
        for _ in range(self.num_blocks):
            inner = nn.silu(nn.Dense(self.width)(nn.LayerNorm()(hidden)))
            hidden = hidden + nn.Dense(self.width)(inner)
        return nn.Dense(self.num_joints)(nn.LayerNorm()(hidden))
