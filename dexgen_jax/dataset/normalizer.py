"""Normaliser: where metres and radians stop and the networks' unitless numbers begin.

All offsets of one horizon step share one scale and no mean, so a distance in metres stays the same in every direction
and its gradient passes through `decode_offsets` as a plain factor.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax.dataset.windows import Window

FLOOR = 1e-3  # m or rad: features that hardly ever move are not blown up
OFFSET_FLOOR = 1e-4  # m: a calm hand's keypoints move by less than a millimetre in a control step


@struct.dataclass
class Normalizer:
    """Statistics of one dataset's windows; saved with the controller that was trained on them."""

    condition_mean: jax.Array  # (H, C) m and rad
    condition_std: jax.Array  # (H, C)
    offset_std: jax.Array  # (T,) m, one for all keypoints and axes of a horizon step
    action_mean: jax.Array  # (n,) rad, of target - q
    action_std: jax.Array  # (n,)

    def encode_condition(self, condition: jax.Array) -> jax.Array:
        """(H, C) m and rad -> unitless."""
        chex.assert_equal_shape([condition, self.condition_mean])
        return (condition - self.condition_mean) / self.condition_std

    def encode_offsets(self, offsets: jax.Array) -> jax.Array:
        """(T, K, 3) m -> unitless."""
        chex.assert_shape(offsets, (*self.offset_std.shape, None, 3))
        return offsets / self.offset_std[:, None, None]

    def decode_offsets(self, offsets: jax.Array) -> jax.Array:
        """(T, K, 3) unitless -> m."""
        chex.assert_shape(offsets, (*self.offset_std.shape, None, 3))
        return offsets * self.offset_std[:, None, None]

    def encode_action(self, action: jax.Array) -> jax.Array:
        """(n,) rad, target - q -> unitless."""
        chex.assert_equal_shape([action, self.action_mean])
        return (action - self.action_mean) / self.action_std

    def decode_action(self, action: jax.Array) -> jax.Array:
        """(n,) unitless -> rad, target - q."""
        chex.assert_equal_shape([action, self.action_mean])
        return action * self.action_std + self.action_mean


def fit(windows: Window) -> Normalizer:
    """Fits the statistics to a batch of windows (B, ...), jit-able; some thousands of windows are plenty."""
    # Ranks are checked before any mean is taken: a missing axis would broadcast silently into wrong moments.
    chex.assert_rank([windows.condition, windows.offsets, windows.action], [3, 4, 2])
    return Normalizer(
        condition_mean=windows.condition.mean(0),
        condition_std=jnp.maximum(windows.condition.std(0), FLOOR),
        offset_std=jnp.maximum(jnp.sqrt(jnp.mean(windows.offsets**2, axis=(0, 2, 3))), OFFSET_FLOOR),
        action_mean=windows.action.mean(0),
        action_std=jnp.maximum(windows.action.std(0), FLOOR),
    )
