"""The control loop: read, decide, set, at a fixed rate, and an honest account of every deadline.

Tick k is due at start + k periods, and its deadline is when the next one is due. A tick that misses it is counted;
ticks whose time has passed meanwhile are skipped, never caught up: old commands in a burst would shake the hand.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dexgen_jax.controller.numbers import floats
from dexgen_jax.deploy.latency import Latencies

Decide = Callable[[np.ndarray, np.ndarray], np.ndarray]  # joints, targets in force (n,) [rad] -> new targets (n,) [rad]

NO_READING, LATE_READING, BAD_READING = "no reading", "late reading", "bad reading"
NO_DECISION, BAD_DECISION = "no decision in time", "bad decision"
FORGOTTEN = "reset, for the server had forgotten the hand"
# Why a tick held the last target.
REASONS = (NO_READING, LATE_READING, BAD_READING, NO_DECISION, BAD_DECISION, FORGOTTEN)


class Robot(Protocol):
    """What the control loop asks of a hand."""

    def read_joints(self) -> np.ndarray | None:
        """Returns the newest joint positions (n,) [rad], or None if no new reading has come since the last call."""

    def set_targets(self, target: np.ndarray) -> None:
        """Hands joint targets (n,) [rad] to the motors' position controllers; returns at once."""


class Clock(Protocol):
    """Where the loop takes its time from; tests bring their own."""

    def now(self) -> float:
        """Seconds, never going back."""

    def sleep_until(self, moment: float) -> None:
        """Returns at `moment` [s] or a little later, at once if it has passed."""


class WallClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.perf_counter()

    def sleep_until(self, moment: float) -> None:
        """Sleeps; on a free core Linux wakes up about 0.1 ms late."""
        time.sleep(max(moment - self.now(), 0.0))


@dataclasses.dataclass
class Account:
    """What became of the ticks."""

    rate_hz: float
    ticks: int = 0
    missed: int = 0  # ticks that ended after their deadline
    skipped: int = 0  # ticks left out because their time had passed
    held: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    wake: Latencies = dataclasses.field(default_factory=Latencies)  # from a tick's due time to its beginning
    tick: Latencies = dataclasses.field(default_factory=Latencies)  # from a tick's due time to its end

    def summary(self) -> dict:
        """Plain values; `missed_share` is of all periods that have passed, skipped ones included."""
        periods = self.ticks + self.skipped
        return {
            "rate_hz": self.rate_hz,
            "ticks": self.ticks,
            "missed": self.missed,
            "skipped": self.skipped,
            "missed_share": (self.missed + self.skipped) / periods if periods else 0.0,
            "held": {reason: count for reason, count in self.held.items() if count},
            "wake": self.wake.summary(),
            "tick": self.tick.summary(),
        }


def run(
    robot: Robot, decide: Decide, target: np.ndarray, rate_hz: float, ticks: float = math.inf,
    stop: Callable[[], bool] = lambda: False, patience: float = 0.5, clock: Clock | None = None,
) -> Account:  # fmt: skip
    """Drives `robot` for `ticks` periods (skipped ones count) or until `stop()`, and returns the account.

    `target` (n,) [rad] is in force at the start. A tick without a sound reading within `patience` periods of its due
    time, or without a sound decision before its deadline, sets the last target again; `decide` may raise TimeoutError,
    and ConnectionResetError if whoever decides has forgotten the hand and now knows it again, see `Client.act`.
    """
    if not 0 < rate_hz <= 1000:
        raise ValueError(f"the loop's rate must be above 0 and at most 1000 Hz, got {rate_hz}")
    clock, account, period = clock or WallClock(), Account(rate_hz), 1 / rate_hz
    start, number = clock.now(), 0
    while number < ticks and not stop():
        due = start + number * period
        clock.sleep_until(due)
        account.wake.add(clock.now() - due)
        decision = _decide(robot, decide, target, due + patience * period, due + period, clock)
        if isinstance(decision, str):
            account.held[decision] += 1
        else:
            target = decision
        robot.set_targets(target)
        taken = clock.now() - due
        account.tick.add(taken)
        account.ticks += 1
        account.missed += taken > period
        passed = max(math.ceil(taken / period), 1)  # the next tick that is not yet due
        account.skipped += int(min(passed - 1, ticks - number - 1))
        number += passed
    return account


def _decide(
    robot: Robot, decide: Decide, target: np.ndarray, latest: float, deadline: float, clock: Clock
) -> np.ndarray | str:
    """Returns new targets, or the reason to hold the old ones: `latest` is for the reading, `deadline` for the rest."""
    q = robot.read_joints()
    if q is None:
        return NO_READING
    if clock.now() > latest:
        return LATE_READING
    if not _sound(q, target):
        return BAD_READING
    try:
        decision = decide(q, target)
    except TimeoutError:
        return NO_DECISION
    except ConnectionResetError:
        return FORGOTTEN
    if clock.now() > deadline:  # of a hand that is elsewhere by now
        return NO_DECISION
    # The last look before the motors, whoever decided.
    if not _sound(decision, target):
        return BAD_DECISION
    return np.asarray(decision)


def _sound(joints: Any, target: np.ndarray) -> bool:
    """Whether these are finite numbers, as many as there are targets."""
    try:
        return bool(np.isfinite(floats(joints, np.shape(target), "joints")).all())
    except ValueError:
        return False
