"""A person's fingertips from a formula: fingers that bend and straighten with minimum jerk, and tremble.

Each finger is a chain of three phalanges in a plane, with lengths of an adult's hand; bent by a share u from 0
(straight) to 1 (fist), its joints turn together. It stands in for a recording, and is none of a real person.
"""

import numpy as np

LENGTHS = {
    "index": (0.045, 0.026, 0.023),
    "middle": (0.050, 0.030, 0.024),
    "ring": (0.046, 0.028, 0.024),
    "thumb": (0.046, 0.032, 0.027),
}
ROOTS = {"index": (0, 0.025, -0.003), "middle": (0, 0, 0), "ring": (0, -0.022, -0.004), "thumb": (0.02, 0.03, -0.065)}
# Where a finger points when it is straight, and where it bends to: unit vectors of the palm frame.
FINGER, THUMB = ((0, 0, 1), (1, 0, 0)), ((0.902, 0.381, -0.2), (0.404, -0.603, 0.688))
BENT = np.array([1.35, 1.65, 1.0])  # rad, of the three joints in a fist
TREMOR_HZ, TREMOR = 9.0, 0.0005  # physiological tremor is at 8 to 12 Hz; m


def tips(bent: np.ndarray, fingers: tuple[str, ...]) -> np.ndarray:
    """The tips (fingers, 3) [m, the person's palm frame] of fingers that are `bent` (fingers,) from 0 to 1."""
    places = []
    for share, finger in zip(bent, fingers, strict=True):
        angles = np.cumsum(share * BENT)
        along, curl = np.array(THUMB if finger == "thumb" else FINGER, float)
        links = np.array(LENGTHS[finger])[:, None] * (np.cos(angles)[:, None] * along + np.sin(angles)[:, None] * curl)
        places.append(np.asarray(ROOTS[finger]) + links.sum(axis=0))
    return np.array(places)


def minimum_jerk(share: np.ndarray) -> np.ndarray:
    """How far a reach has come after a `share` of its time. Source: Flash & Hogan 1985, J. Neurosci. 5(7), eq. 1."""
    share = np.clip(share, 0, 1)
    return share**3 * (10 - 15 * share + 6 * share**2)


class Motion:
    """Each finger goes from one bend to the next, in times and ways of its own; the same for the same seed."""

    def __init__(self, fingers: tuple[str, ...], seed: int, low: float = 0.35, high: float = 0.65, reach: float = 0.8):
        """Bends between `low` and `high`, each within about `reach` [s]."""
        self.fingers = fingers
        rng = np.random.default_rng(seed)
        self._times = np.cumsum(reach * rng.uniform(0.6, 1.4, (len(fingers), 1000)), axis=1)
        self._bends = rng.uniform(low, high, (len(fingers), 1000))
        self._phases = rng.uniform(0, 2 * np.pi, (len(fingers), 3))

    def at(self, time: float) -> np.ndarray:
        """The tips (fingers, 3) [m, the person's palm frame] after `time` [s]."""
        bent = []
        for times, bends in zip(self._times, self._bends, strict=True):
            after = min(int(np.searchsorted(times, time % times[-1], side="right")), len(times) - 1)
            before = max(after - 1, 0)
            length = times[after] - (times[before] if after else 0.0)
            share = (time % times[-1] - (times[before] if after else 0.0)) / length
            bent.append(bends[before] + (bends[after] - bends[before]) * minimum_jerk(share))
        return tips(np.array(bent), self.fingers) + self.tremor(time)

    def tremor(self, time: float) -> np.ndarray:
        """What is added to the tips (fingers, 3) [m] after `time` [s]."""
        return TREMOR * np.sin(2 * np.pi * TREMOR_HZ * time + self._phases)
