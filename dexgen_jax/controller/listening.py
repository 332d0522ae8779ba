"""Listening: how precisely an operator speaks, and what of its wishes is still to be done.

The strength lambda of guidance is a precision: that of the command, where the learned motions have 1. So it need not be
guessed, it can be measured. An operator's noise is new in every tick while its intention lasts; half the mean squared
jump from one command to the next is therefore the noise's variance, whatever the intention is (von Neumann 1941,
doi:10.1214/aoms/1177731677). A steady operator is followed, a shaking one is only leaned towards.

What was asked and not done is asked again in the next tick, fading. A wish is heard over a second, not in a tick; the
noise of what is asked grows with it, and is counted.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax.controller.commands import Command


@dataclasses.dataclass(frozen=True)
class ListeningConfig:
    """How commands are heard; hashable. The paper is `ListeningConfig(memory=0.0, jitter_range=(1.0, 1.0))`."""

    memory: float = 0.8  # share of what was not done that is asked again in the next tick; 0 forgets at once
    longest: float = 0.03  # m, of what is remembered of one keypoint: a wish that cannot be done does not wind up
    jitter_memory: float = 0.9  # share of the estimated noise kept in a tick: 0.9 looks back over a second at 10 Hz
    # Standard deviation of the noise that is believed at least and at most, in units of the learned motions' own; a
    # range of 1 measures nothing, then the strength that is said is the one in force.
    jitter_range: tuple[float, float] = (0.1, 10.0)

    def __post_init__(self) -> None:
        """Refuses a memory that winds up, and a range that is none."""
        for name in ("memory", "jitter_memory"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"listening.{name} must be from 0 to below 1, got {getattr(self, name)}")
        low, high = self.jitter_range
        if not 0 < low <= high < float("inf") or not 0 <= self.longest < float("inf"):
            raise ValueError(
                f"listening needs 0 < jitter_range[0] <= jitter_range[1] and longest >= 0, all finite, got {self}"
            )


@struct.dataclass
class Heard:
    """What is remembered of an operator; variances in units of the learned motions' own, unitless."""

    offsets: jax.Array  # (K, 3) m, what the last command asked for
    undone: jax.Array  # (K, 3) m, what of all commands was not done
    jitter: jax.Array  # () variance of a command's noise
    doubt: jax.Array  # () variance of what was asked for last, with what was left undone; 0 if nobody was heard

    @classmethod
    def nobody(cls, num_keypoints: int, jitter: jax.Array | float = 1.0) -> "Heard":
        """Before the first command. Until it is known, a command's noise is as large as the motions' own spread."""
        nothing = jnp.zeros((num_keypoints, 3), jnp.float32)
        return cls(nothing, nothing, jnp.asarray(jitter, jnp.float32), jnp.zeros((), jnp.float32))


def hear(
    config: ListeningConfig, heard: Heard, command: Command, spread: jax.Array
) -> tuple[Command, jax.Array, Heard]:
    """Returns what to ask of the sampler, its precision () per strength, and what is known of the operator now.

    `spread` () [m] is the standard deviation of the learned offsets. The precision is 1 for a first command.
    """
    jump = command.weight[:, None] * (command.offsets - heard.offsets)
    counted = 3 * jnp.sum(command.weight**2)
    fresh = jnp.sum(jump**2) / (2 * spread**2 * jnp.where(counted > 0, counted, 1.0))
    known = (heard.doubt > 0) & (counted > 0)
    keep = config.jitter_memory
    jitter = jnp.where(known, keep * heard.jitter + (1 - keep) * fresh, heard.jitter)
    low, high = config.jitter_range
    believed = jnp.clip(jitter, low**2, high**2)
    doubt = config.memory**2 * heard.doubt + believed
    asked = command.replace(offsets=command.offsets + config.memory * heard.undone * command.weight[:, None])
    return asked, 1 / doubt, heard.replace(offsets=command.offsets, jitter=jitter, doubt=doubt)


def settle(config: ListeningConfig, heard: Heard, asked: jax.Array, done: jax.Array, listens: jax.Array) -> Heard:
    """Remembers what was `asked` and not `done`, (K, 3) [m] each; only the jitter, where nobody `listens` ()."""
    rest = asked - done
    length = jnp.sqrt(jnp.sum(rest**2, axis=-1, keepdims=True))
    rest = rest * jnp.where(length > config.longest, config.longest / jnp.where(length > 0, length, 1.0), 1.0)
    nobody = Heard.nobody(len(rest), heard.jitter)
    return jax.tree.map(lambda new, none: jnp.where(listens, new, none), heard.replace(undone=rest), nobody)
