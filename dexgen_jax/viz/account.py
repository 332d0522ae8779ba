"""What is counted while somebody plays: seconds held, drops and goals for each kind of help, and the last 30 s.

Counted apart, so that the same command alone and helped stand side by side.
"""

import collections
import dataclasses

import numpy as np

SHOWN = 30.0  # s of the plots
WINDOW = 3.0  # s over which the share of the command that is kept is measured


@dataclasses.dataclass
class Tally:
    """What happened under one kind of help."""

    seconds: float = 0.0  # s with the object in the hand
    drops: int = 0
    goals: int = 0

    @property
    def hold_time(self) -> float:
        """Seconds held per drop; infinite without one."""
        return self.seconds / self.drops if self.drops else np.inf


@dataclasses.dataclass(frozen=True)
class Sample:
    """One control step in the plots."""

    time: float  # s of simulated time
    asked: float  # rad, root mean square over the joints of the change that was commanded
    done: float  # rad, of the change that was made
    intervention: float  # rad, of the difference between the joint targets set and those commanded
    held: float  # s since this grasp began
    kept: float  # share of the command that was carried out, over the last `WINDOW`; nan where nothing was asked


class Account:
    """All tallies of a session and its last 30 s."""

    def __init__(self, kinds: tuple[str, ...], period: float):
        """`kinds` of help, and the `period` of a control step [s]."""
        self.period = period
        self.tallies = {kind: Tally() for kind in kinds}
        self.samples: collections.deque[Sample] = collections.deque(maxlen=round(SHOWN / period))
        self._pairs: collections.deque[tuple[float, float]] = collections.deque(maxlen=round(WINDOW / period))
        self.time, self.held, self.longest = 0.0, 0.0, 0.0

    def add(
        self, kind: str, asked: np.ndarray, done: np.ndarray, intervention: float, dropped: bool, reached: bool
    ) -> None:
        """Counts one control step with the object in the hand; changes of the joint targets (n,) [rad]."""
        tally = self.tallies[kind]
        tally.seconds += self.period
        tally.drops += dropped
        tally.goals += reached
        self.time += self.period
        self.held += self.period
        self.longest = max(self.longest, self.held)
        self._pairs.append((float(asked @ done), float(asked @ asked)))
        self.samples.append(Sample(self.time, _rms(asked), _rms(done), intervention, self.held, self.kept))

    def begin(self) -> None:
        """A fresh grasp: what was asked of the last one is not compared with what this one does."""
        self.held = 0.0
        self._pairs.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.__init__(tuple(self.tallies), self.period)

    @property
    def kept(self) -> float:
        """Share of the commanded change that was made: 1 all of it, 0 nothing or at right angles, below 0 against it.

        The least-squares factor from what was asked to what was done.
        """
        done, asked = np.sum(np.reshape(self._pairs, (-1, 2)), axis=0)
        return float(done / asked) if asked > 0 else float("nan")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
