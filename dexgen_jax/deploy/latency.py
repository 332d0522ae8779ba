"""How long something takes, over days: quantiles from a histogram whose size does not grow.

Bins are even on a logarithmic scale, so every quantile is right to `RESOLUTION` whether it is microseconds or minutes.
"""

import math

import numpy as np

SHORTEST, LONGEST = 1e-6, 1e3  # s; what lies outside counts in the first or the last bin
RESOLUTION = 0.02  # relative width of a bin


class Latencies:
    """A tally of durations [s]."""

    def __init__(self) -> None:
        """Starts empty."""
        bins = math.ceil(math.log(LONGEST / SHORTEST) / math.log1p(RESOLUTION))
        self._counts = np.zeros(bins, np.int64)
        self.worst = 0.0  # s

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        place = math.log(max(seconds, SHORTEST) / SHORTEST) / math.log1p(RESOLUTION)
        self._counts[min(int(place), len(self._counts) - 1)] += 1
        self.worst = max(self.worst, seconds)

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return int(self._counts.sum())

    def quantile(self, share: float) -> float | None:
        """The duration [s] that `share` of all do not exceed, right to `RESOLUTION`; None while there are none."""
        if not self.count:
            return None
        # The upper edge of the bin: a quantile may be a little too long, never too short.
        place = int(np.searchsorted(np.cumsum(self._counts), max(math.ceil(share * self.count), 1)))
        return min(SHORTEST * (1 + RESOLUTION) ** (place + 1), self.worst)

    def summary(self) -> dict[str, float | int | None]:
        """Count, median, 99th percentile and worst, times in ms."""
        times = {"p50_ms": self.quantile(0.5), "p99_ms": self.quantile(0.99), "worst_ms": self.worst}
        rounded = {name: None if time is None else round(1e3 * time, 3) for name, time in times.items()}
        return {"count": self.count, **rounded}
