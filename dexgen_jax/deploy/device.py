"""The input device's side: tells where a person's fingertips are. Needs numpy, pyzmq and msgpack."""

from typing import Any

import numpy as np

from dexgen_jax.controller.numbers import floats
from dexgen_jax.deploy.connection import Connection


class Device(Connection):
    """A glove or a tracker; whoever listens, see `stream.Stream`, takes one of them at a time."""

    def tell(self, hand: str, tips: np.ndarray, age: float = 0.0) -> dict[str, Any]:
        """Sends `tips` (fingers, 3) [m, palm frame of the person] for the robot hand of that name; returns the answer.

        `age` [s] is how old the reading is already. In the answer: `events`, what is wrong with the numbers, if
        anything; `pose`, what the person should do now, empty when it is to move as it likes; how many were `heard`,
        and up to which the hand has `acted`, with the seconds after its arrival. Raises ValueError for what is
        refused, TimeoutError if nobody answers or the one who does has failed.
        """
        reply = self._ask("tips", hand=hand, tips=floats(tips, np.shape(tips), "tips"), age=age)
        return {name: reply[name] for name in ("heard", "events", "pose", "acted")}
