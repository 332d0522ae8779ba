"""When the next control step of a viewer is due: ten a second, slower if wished, never two at once to catch up."""

import dataclasses
import time
from collections.abc import Callable


@dataclasses.dataclass
class Pace:
    """Ask `due` as often as you like; a step whose time has passed is left out and counted."""

    period: float  # s between two steps at full speed
    next: float | None = None  # s of the clock that `due` is asked with
    steps: int = 0
    late: int = 0  # steps that began more than half a period after their time, and those left out

    def due(self, now: float, speed: float = 1.0) -> bool:
        """Whether a step is due at `now` [s]; `speed` from above 0 to 1 is that of slow motion."""
        if not 0 < speed <= 1:
            raise ValueError(f"the speed must be above 0 and at most 1, got {speed}")
        period = self.period / speed
        if self.next is None:
            self.next = now
        if now < self.next:
            # Back from slow motion, the next step is not waited for longer than a step takes now.
            self.next = min(self.next, now + period)
            return False
        behind = now - self.next
        missed = int(behind / period)
        self.late += missed + (behind % period > period / 2)
        self.next += (missed + 1) * period
        self.steps += 1
        return True

    def wait(self, now: float) -> float:
        """How long it is from `now` to the next step [s]."""
        return max((self.next if self.next is not None else now) - now, 0.0)

    def share_elapsed(self, now: float, speed: float = 1.0) -> float:
        """How much of the time between two steps has passed, from 0 to 1: for pictures in between."""
        return min(max(1 - self.wait(now) * speed / self.period, 0.0), 1.0)

    @property
    def late_share(self) -> float:
        """Late steps over all of them."""
        return self.late / self.steps if self.steps else 0.0


def keep(pace: Pace, tick: Callable[[], None], stop: Callable[[], bool]) -> None:
    """Calls `tick` at the pace, by the machine's clock, until `stop()`."""
    while not stop():
        if pace.due(time.perf_counter()):
            tick()
        time.sleep(min(pace.wait(time.perf_counter()), pace.period))
