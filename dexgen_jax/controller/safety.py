"""Safety at the edge: what the controller believes, what it obeys and what it lets out, whatever comes in.

Everything here is arithmetic inside the tick (`where`, `clip`), so an exported controller keeps it. What was done is
said in `Event` bits.
"""

import dataclasses
import enum

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.controller.commands import Command
from dexgen_jax.hand.description import Hand


class Event(enum.IntFlag):
    """Bits of `Diagnostics.events`; zero is a tick without any."""

    BAD_READING = 1  # a joint reading or target in force is not finite, or far outside the joint limits
    LATE = 2  # the reading is older than `Limits.max_age`, or from as far in the future: two clocks disagree
    BAD_ACTION = 4  # the networks, or a released command, gave numbers that are not finite; or there is no such mode
    COMMAND_REFUSED = 8  # command or strength is not a number: the prior moved the hand
    COMMAND_CLIPPED = 16  # the command asked for more than `Limits.reach`, or for joints outside their limits
    ACTION_CLIPPED = 32  # joint limits or `Limits.max_step` cut the action
    HELD = BAD_READING | LATE | BAD_ACTION  # any of these: the targets in force are held, see `in_force`


@dataclasses.dataclass(frozen=True)
class Limits:
    """How far the controller may go: hashable, static."""

    # Largest change of a joint target in a tick: the action scale of the experts whose recordings it learned from.
    max_step: float = 0.15  # rad
    # What a finger of the Allegro hand can do in the horizon of two ticks at `max_step`, all of its joints at once.
    reach: float = 0.1  # m, of a commanded keypoint offset
    max_age: float = 0.1  # s, of a reading: one control period
    overshoot: float = 0.3  # rad; a reading further outside the joint limits is a fault

    def __post_init__(self) -> None:
        """Refuses limits that would hold the hand for ever or nothing at all."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise ValueError(f"limit {field.name} must be above zero and finite, got {value}")


def require_plausible(hand: Hand, limits: Limits, joints: np.ndarray, name: str) -> None:
    """Host side: raises ValueError naming the joint if `joints` (n,) [rad] are no reading that a tick would believe.

    What `check_reading` holds the hand for must not be what a hand starts from: it would hold a target that never was.
    """
    for joint, value, lower, upper in zip(hand.joint_names, joints, hand.lower, hand.upper, strict=True):
        if not lower - limits.overshoot < value < upper + limits.overshoot:
            raise ValueError(
                f"{name} of joint {joint} is {value:g} rad, and its limits are {lower:g} to {upper:g} rad (more than "
                f"{limits.overshoot:g} rad outside is a fault): check zero position, order and unit of the joints"
            )


def check_reading(hand: Hand, limits: Limits, q: jax.Array, target: jax.Array, age: jax.Array) -> jax.Array:
    """Returns the `Event` bits () of a reading (n,) [rad] with its target in force (n,) [rad], `age` () [s] old."""
    bad = ~(plausible(hand, limits, q) & plausible(hand, limits, target))
    late = ~(jnp.abs(age) <= limits.max_age)  # an age that is not a number is late
    return _bit(bad, Event.BAD_READING) | _bit(late, Event.LATE)


def plausible(hand: Hand, limits: Limits, joints: jax.Array) -> jax.Array:
    """Whether () `joints` (n,) [rad] can be those of this hand; NaN cannot."""
    return jnp.all((joints > hand.lower - limits.overshoot) & (joints < hand.upper + limits.overshoot))


def in_force(hand: Hand, limits: Limits, target: jax.Array, safe: jax.Array) -> jax.Array:
    """Returns what to hold (n,) [rad] if something is wrong: the `target` said to be in force, within the joint limits.

    If that is no sound one, `safe`, the last that was let out; it may never have been set, if its answer came too late.
    """
    lower, upper = jnp.asarray(hand.lower, safe.dtype), jnp.asarray(hand.upper, safe.dtype)
    return jnp.where(plausible(hand, limits, target), jnp.clip(target, lower, upper), safe)


def check_command(
    hand: Hand, limits: Limits, command: Command, alpha: jax.Array
) -> tuple[Command, jax.Array, jax.Array]:
    """Returns the command to obey, the `alpha` () to obey it with, and `Event` bits ().

    Refused, all of it and with alpha 0, if any number is not finite or alpha negative; infinite alpha is welcome, and
    so are joint targets, which end at the limits.
    Offsets longer than `limits.reach` are shortened, their direction kept. The joint target stays as it is asked for:
    what limits an action limits it too.
    """
    parts = (command.offsets, command.weight)
    finite = jnp.stack([jnp.all(jnp.isfinite(part)) for part in parts] + [~jnp.any(jnp.isnan(command.target))])
    refused = ~(jnp.all(finite) & (jnp.asarray(alpha) >= 0))
    offsets, weight = (jnp.where(refused, 0.0, part) for part in parts)
    length = jnp.linalg.norm(offsets, axis=-1, keepdims=True)
    long = length > limits.reach
    offsets = jnp.where(long, offsets * (limits.reach / jnp.where(long, length, 1.0)), offsets)
    outside = (command.target < hand.lower) | (command.target > hand.upper)
    clipped = jnp.any(long) | jnp.any(outside)
    events = _bit(refused, Event.COMMAND_REFUSED) | _bit(clipped, Event.COMMAND_CLIPPED)
    return Command(offsets, jnp.clip(weight, 0.0, 1.0), command.target), jnp.where(refused, 0.0, alpha), events


def check_action(
    hand: Hand, limits: Limits, wanted: jax.Array, target: jax.Array, held: jax.Array, events: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the joint targets (n,) [rad] to set, and `events` () with what was done added.

    `wanted` is cut to the joint limits and to `limits.max_step` from the `target` in force; if it is not finite or
    `events` say so, the action is `held`. All (n,) [rad].
    """
    lower, upper = jnp.asarray(hand.lower, wanted.dtype), jnp.asarray(hand.upper, wanted.dtype)
    base = jnp.clip(target, lower, upper)
    action = jnp.clip(jnp.clip(wanted, lower, upper), base - limits.max_step, base + limits.max_step)
    bad = ~jnp.all(jnp.isfinite(wanted))
    hold = bad | (events & int(Event.HELD) > 0)
    clipped = ~hold & jnp.any(jnp.abs(action - wanted) > 1e-6)  # not what rounding leaves of a whole step
    events = events | _bit(bad, Event.BAD_ACTION) | _bit(clipped, Event.ACTION_CLIPPED)
    return jnp.where(hold, held, action), events


def _bit(happened: jax.Array, event: Event) -> jax.Array:
    return jnp.where(happened, jnp.int32(event), 0)
