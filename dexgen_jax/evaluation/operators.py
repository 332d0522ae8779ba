"""Operators: an expert spoiled in a known way, so that there is something to help with.

Every operator is a few numbers, action = U(gain_low, gain_high) * expert + U(-noise, noise) + drift + squeeze, some
steps late and without one finger, so one compiled program runs them all. The amplitudes of the paper's figure 8 are
0.75 and 1.5 for noise, 0.5 and 1 for slowness (arXiv:2502.04307); actions are in units of the largest change of a joint
target, and are cut at +-1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand
from dexgen_jax.physics.engine import CONTROL_HZ

LATEST = 5  # control steps that an operator may be late
DRIFT_KEPT = 0.9  # share of the drift that is left after a control step of 0.1 s: it forgets in a second
SQUEEZES_HZ = 0.5  # squeezes a second
NO_FINGER = -1


@struct.dataclass
class Memory:
    """What an operator carries from step to step."""

    drift: jax.Array  # (n,) action units
    past: jax.Array  # (LATEST, n): its last actions, newest first
    ticks: jax.Array  # () int32, control steps since it began


@struct.dataclass
class Operator:
    """A spoiled expert."""

    gain_low: float  # factor on the expert's action, drawn anew at every step for all joints together
    gain_high: float
    noise: float  # half width of the uniform noise on every joint, action units
    drift: float = 0.0  # standard deviation of the noise that lasts, on every joint, action units
    late: int = 0  # control steps that its actions come late, 0 to LATEST
    squeeze: float = 0.0  # amplitude of a sinusoid that closes and opens the hand, action units at its fastest joint
    frozen: int = NO_FINGER  # number of the finger that does nothing, in the order of the hand's tips
    misled: float = 0.0  # share of the time that the expert is shown a wrong goal, see `Misled`

    def reset(self, hand: Hand) -> Memory:
        """The memory of an operator who begins."""
        joints = hand.num_joints
        return Memory(jnp.zeros(joints), jnp.zeros((LATEST, joints)), jnp.zeros((), jnp.int32))

    def act(self, hand: Hand, memory: Memory, wanted: jax.Array, key: jax.Array) -> tuple[jax.Array, Memory]:
        """Spoils the expert's action `wanted` (n,); the result is in [-1, 1]."""
        key_gain, key_noise = jax.random.split(key)
        gain = jax.random.uniform(key_gain, minval=self.gain_low, maxval=self.gain_high)
        noise = jax.random.uniform(key_noise, wanted.shape, minval=-1.0)
        fresh = self.drift * jax.random.normal(jax.random.fold_in(key, 2), wanted.shape)
        drift = DRIFT_KEPT * memory.drift + jnp.sqrt(1 - DRIFT_KEPT**2) * fresh
        closing = jnp.asarray(hand.prior.closing / np.abs(hand.prior.closing).max(), wanted.dtype)
        squeeze = self.squeeze * jnp.sin(2 * jnp.pi * SQUEEZES_HZ / CONTROL_HZ * memory.ticks) * closing
        asked = jnp.clip(gain * wanted + self.noise * noise + drift + squeeze, -1.0, 1.0)
        moves_tip = jnp.asarray(kinematics.joints_that_move(hand)[:, : hand.num_tips])
        still = (self.frozen != NO_FINGER) & moves_tip[:, self.frozen]
        acts = jnp.concatenate([jnp.where(still, 0.0, asked)[None], memory.past])
        return acts[self.late], Memory(drift, acts[:-1], memory.ticks + 1)


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


def squeezing(amplitude: float) -> Operator:
    """The expert, its hand closing and opening besides, each twice in 4 s: somebody nervous, or a bad calibration."""
    return Operator(1.0, 1.0, 0.0, squeeze=amplitude)


def frozen(finger: float) -> Operator:
    """The expert but for one finger, which it never moves: a dead sensor of a glove, a hidden finger."""
    if finger < 0 or finger != int(finger):
        raise ValueError(f"a finger is a whole number from 0, got {finger}")
    return Operator(1.0, 1.0, 0.0, frozen=int(finger))


def misled(share: float) -> Operator:
    """The expert, who for this share of the time goes for a wrong goal, see `Misled`: a planner that errs."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share of the time is from 0 to 1, got {share}")
    return Operator(1.0, 1.0, 0.0, misled=share)


def random(amplitude: float = 1.0) -> Operator:
    """Noise alone."""
    return Operator(0.0, 0.0, amplitude)


KINDS: dict[str, Callable[..., Operator]] = {
    "noisy": noisy, "slow": slow, "clean": clean, "jerky": jerky, "late": late, "squeezing": squeezing,
    "frozen": frozen, "misled": misled, "calm": clean, "quick": clean, "still": still, "random": random,
}  # fmt: skip


def parse(name: str, hand: Hand | None = None) -> Operator:
    """Builds the operator that a name like 'noisy 0.75' or 'still' stands for, for `hand` if one is given.

    Raises ValueError naming the kinds, or the finger that the hand has not.
    """
    kind, *amplitudes = name.split()
    try:
        operator = KINDS[kind](*map(float, amplitudes))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no operator {name!r}; an operator is one of {', '.join(KINDS)}, with an amplitude as in 'noisy 0.75' "
            f"('late' with seconds up to {LATEST / CONTROL_HZ})"
        ) from error
    if hand is not None and operator.frozen >= hand.num_tips:
        raise ValueError(f"no finger {operator.frozen}: hand {hand.name!r} has 0 to {hand.num_tips - 1}")
    # Concrete arrays, so that all operators share one compiled program.
    numbers = {"late": jnp.int32(operator.late), "frozen": jnp.int32(operator.frozen)}
    return jax.tree.map(jnp.float32, operator).replace(**numbers)
