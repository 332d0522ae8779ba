"""Operators: an expert spoiled in a known way, so that there is something to help with.

Every operator is five numbers, action = U(gain_low, gain_high) * expert + U(-noise, noise) + drift, some steps late, so
one compiled program runs them all. The amplitudes of the paper's figure 8 are 0.75 and 1.5 for noise, 0.5 and 1 for
slowness (arXiv:2502.04307); actions are in units of the largest change of a joint target, and are cut at +-1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax.physics.engine import CONTROL_HZ

LATEST = 5  # control steps that an operator may be late
DRIFT_KEPT = 0.9  # share of the drift that is left after a control step of 0.1 s: it forgets in a second


@struct.dataclass
class Memory:
    """What an operator carries from step to step."""

    drift: jax.Array  # (n,) action units
    past: jax.Array  # (LATEST, n): its last actions, newest first


@struct.dataclass
class Operator:
    """A spoiled expert."""

    gain_low: float  # factor on the expert's action, drawn anew at every step for all joints together
    gain_high: float
    noise: float  # half width of the uniform noise on every joint, action units
    drift: float = 0.0  # standard deviation of the noise that lasts, on every joint, action units
    late: int = 0  # control steps that its actions come late, 0 to LATEST

    def reset(self, joints: int) -> Memory:
        """The memory of an operator who begins."""
        return Memory(jnp.zeros(joints), jnp.zeros((LATEST, joints)))

    def act(self, memory: Memory, wanted: jax.Array, key: jax.Array) -> tuple[jax.Array, Memory]:
        """Spoils the expert's action `wanted` (n,); the result is in [-1, 1]."""
        key_gain, key_noise = jax.random.split(key)
        gain = jax.random.uniform(key_gain, minval=self.gain_low, maxval=self.gain_high)
        noise = jax.random.uniform(key_noise, wanted.shape, minval=-1.0)
        fresh = self.drift * jax.random.normal(jax.random.fold_in(key, 2), wanted.shape)
        drift = DRIFT_KEPT * memory.drift + jnp.sqrt(1 - DRIFT_KEPT**2) * fresh
        now = jnp.clip(gain * wanted + self.noise * noise + drift, -1.0, 1.0)
        acts = jnp.concatenate([now[None], memory.past])
        return acts[self.late], Memory(drift, acts[:-1])


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


def jerky(amplitude: float) -> Operator:
    """The expert plus noise that lasts a second, of standard deviation `amplitude`: a tired or distracted person."""
    return Operator(1.0, 1.0, 0.0, drift=amplitude)


def late(seconds: float) -> Operator:
    """The expert, `seconds` late, from 0 to 0.5: a camera that tracks a hand, a planner, a network."""
    steps = round(CONTROL_HZ * seconds)
    if not 0 <= steps <= LATEST:
        raise ValueError(f"an operator may be up to {LATEST / CONTROL_HZ} s late, got {seconds}")
    return Operator(1.0, 1.0, 0.0, late=steps)


def random(amplitude: float = 1.0) -> Operator:
    """Noise alone."""
    return Operator(0.0, 0.0, amplitude)


KINDS: dict[str, Callable[..., Operator]] = {
    "noisy": noisy, "slow": slow, "clean": clean, "jerky": jerky, "late": late, "still": still, "random": random,
}  # fmt: skip


def parse(name: str) -> Operator:
    """Builds the operator that a name like 'noisy 0.75' or 'still' stands for. Raises ValueError naming the kinds."""
    kind, *amplitudes = name.split()
    try:
        operator = KINDS[kind](*map(float, amplitudes))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no operator {name!r}; an operator is one of {', '.join(KINDS)}, with an amplitude as in 'noisy 0.75' "
            f"('late' with seconds up to {LATEST / CONTROL_HZ})"
        ) from error
    # Concrete arrays, so that all operators share one compiled program.
    return jax.tree.map(jnp.float32, operator).replace(late=jnp.int32(operator.late))
