"""Operators: an expert spoiled in a known way, so that there is something to help with.

Every operator is three numbers, action = U(gain_low, gain_high) * expert + U(-noise, noise), so one compiled program
runs them all. The amplitudes of the paper's figure 8 are 0.75 and 1.5 for noise, 0.5 and 1 for slowness
(arXiv:2502.04307); actions are in units of the largest change of a joint target, and are cut at +-1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Operator:
    """A spoiled expert."""

    gain_low: float  # factor on the expert's action, drawn anew at every step for all joints together
    gain_high: float
    noise: float  # half width of the uniform noise on every joint, action units

    def act(self, wanted: jax.Array, key: jax.Array) -> jax.Array:
        """Spoils the expert's action `wanted` (n,); the result is in [-1, 1]."""
        key_gain, key_noise = jax.random.split(key)
        gain = jax.random.uniform(key_gain, minval=self.gain_low, maxval=self.gain_high)
        noise = jax.random.uniform(key_noise, wanted.shape, minval=-1.0)
        return jnp.clip(gain * wanted + self.noise * noise, -1.0, 1.0)


def noisy(amplitude: float) -> Operator:
    """The expert plus uniform noise of +-`amplitude` on every joint."""
    return Operator(1.0, 1.0, amplitude)


def slow(amplitude: float) -> Operator:
    """The expert's action times a number drawn from [0, `amplitude`]."""
    return Operator(0.0, amplitude, 0.0)


def clean(amplitude: float = 1.0) -> Operator:
    """The expert itself, its action times `amplitude`."""
    return Operator(amplitude, amplitude, 0.0)


def still() -> Operator:
    """Zero action: the joint targets stay where the grasp has them."""
    return Operator(0.0, 0.0, 0.0)


def random(amplitude: float = 1.0) -> Operator:
    """Noise alone."""
    return Operator(0.0, 0.0, amplitude)


KINDS: dict[str, Callable[..., Operator]] = {
    "noisy": noisy, "slow": slow, "clean": clean, "still": still, "random": random,
}  # fmt: skip


def parse(name: str) -> Operator:
    """Builds the operator that a name like 'noisy 0.75' or 'still' stands for. Raises ValueError naming the kinds."""
    kind, *amplitudes = name.split()
    try:
        operator = KINDS[kind](*map(float, amplitudes))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no operator {name!r}; an operator is one of {', '.join(KINDS)}, with an amplitude as in 'noisy 0.75'"
        ) from error
    # Concrete arrays, so that all operators share one compiled program.
    return jax.tree.map(jnp.float32, operator)
