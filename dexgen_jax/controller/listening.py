"""Listening: how far an operator is believed, and what is done of that which it asks.

What the hand should do is told twice: by the operator's command, and by a motion drawn from those that were learned.
Two opinions of one thing are weighed by their precisions. How far the networks' own action is from the right one is
known from training. How far the operator's is need not be guessed either: it is what the two differ by beyond that,
averaged over the last second. The ratio of the precisions is the strength lambda. An operator who asks for what a
skilled hand would do is followed; one that shakes, or insists on what a skilled hand would not do, is turned down.
What is wished beyond the networks' own action lasts for some ticks, while noise does not, so a part of the wish that
was believed a tick ago is expected again: the recursive estimate of Kalman's filter.

The paper bends the motion by a strength that is set by hand, and makes the action of that (arXiv:2502.04307, section
III-D); this is `guidance`. docs/guidance.md has both measured beside each other.
"""

import dataclasses

import jax
import jax.numpy as jnp

from dexgen_jax.controller.commands import Command
from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand


@dataclasses.dataclass(frozen=True)
class ListeningConfig:
    """How commands are weighed; hashable."""

    memory: float = 0.9  # share of what is thought of the operator that is kept in a tick: 0.9 looks back over a second
    persistence: float = 0.4  # share of a wish that is expected to last until the next tick
    # Standard deviation that a command is believed to have at least and at most, in units of the networks' own error.
    doubt_range: tuple[float, float] = (0.1, 10.0)

    def __post_init__(self) -> None:
        """Refuses what would never be forgotten, and a range that is none."""
        for name in ("memory", "persistence"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"listening.{name} must be from 0 to below 1, got {getattr(self, name)}")
        low, high = self.doubt_range
        if not 0 < low <= high < float("inf"):
            raise ValueError(f"listening needs 0 < doubt_range[0] <= doubt_range[1], both finite, got {self}")


def doubt(
    config: ListeningConfig, action_std: jax.Array, before: jax.Array, wanted: jax.Array, own: jax.Array,
    weight: jax.Array,
) -> jax.Array:  # fmt: skip
    """Returns the variance () of an operator's commands as it is believed now, in units of `action_std` squared.

    `action_std` () [rad] is the networks' own error, see `Weights`. `before` () is what was believed, 1 of a stranger.
    `wanted` (n,) [rad] are the joint targets it asks for, `own` (n,) [rad] those the networks would set, and `weight`
    (n,) says how much it speaks of each joint.
    """
    apart = jnp.sum(weight * ((wanted - own) / action_std) ** 2) / jnp.maximum(jnp.sum(weight), 1e-6)
    # The networks' own error is a part of the difference. What is left may be less than nothing in a tick.
    return config.memory * before + (1 - config.memory) * (apart - 1)


def precision(config: ListeningConfig, doubt: jax.Array) -> jax.Array:
    """Returns how precise the commands are, (), where the networks' own actions have 1."""
    low, high = config.doubt_range
    return 1 / jnp.clip(doubt, low**2, high**2)


def weigh(expected: jax.Array, wanted: jax.Array, strength: jax.Array, weight: jax.Array) -> jax.Array:
    """Weighs two opinions of the joint targets, (n,) [rad] each, by precision: 1 to `strength` () times `weight` (n,).

    `expected` are the networks' own and what is left of the last wish. `strength` is from zero, which leaves `expected`
    bit for bit, to infinity; so does a joint without weight.
    """
    share = weight / (weight + 1 / jnp.where(strength > 0, strength, 1.0))
    return jnp.where((strength > 0) & (weight > 0), expected + share * (wanted - expected), expected)


def joint_weight(hand: Hand, command: Command) -> jax.Array:
    """Returns how much a command speaks of each joint (n,): as much as of the keypoint it counts most that it moves."""
    moves = jnp.asarray(kinematics.joints_that_move(hand), command.weight.dtype)
    return jnp.max(moves * command.weight[None], axis=1)
