"""An example of an input device: plays a person's fingers from a formula, and measures how soon the hand follows.

Reproduces: what a glove or a camera's tracker would say to teleoperate.py (docs/teleoperation.md); of a real one, only
the line that reads the fingertips is another.
Time: `config.seconds` after the calibration. Start experiments/teleoperate.py first.
Expected: half of the messages move the hand's targets within 60 ms, 99% within 0.1 s, if the programs have priority.
Command: python experiments/send_fingertips.py --config=experiments/configs/send_fingertips.py:laptop
"""

import collections

import launch
import numpy as np
from finger_motion import Motion, tips
from ml_collections import ConfigDict
from token_file import read_token

from dexgen_jax.deploy.device import Device
from dexgen_jax.deploy.latency import Latencies
from dexgen_jax.deploy.loop import WallClock
from dexgen_jax.run_log import RunLog

PATIENCE = 60.0  # s without an answer after which it is over
BENT = {"open": 0.0, "fist": 1.0}  # of the poses that a calibration asks for


def run(config: ConfigDict, log: RunLog) -> dict:
    """Sends as it is asked to, then for `config.seconds` as it likes; the result is what was answered, and when."""
    clock, answers, followed = WallClock(), Latencies(), Followed()
    events: collections.Counter[str] = collections.Counter()
    with Device(config.address, read_token(config), config.timeout) as device:
        told = device.describe()
        fingers = tuple(config.fingers)
        motion, pose, freely = Motion(fingers, config.seed), "", 0.0
        begin, number = clock.now(), 0
        answered = begin
        while freely < config.seconds:
            clock.sleep_until(begin + number / config.rate_hz)
            number = max(number + 1, int((clock.now() - begin) * config.rate_hz))
            # Of a device: where its fingers are now, (fingers, 3) [m, palm frame].
            place = motion.at(freely) if not pose else tips(np.full(len(fingers), BENT[pose]), fingers)
            sent = clock.now()
            try:
                reply = device.tell(told["hand"], place)
            except TimeoutError as error:
                events["no answer"] += 1
                if clock.now() - answered > PATIENCE:
                    raise TimeoutError(
                        f"teleoperate.py at {config.address} has not answered for {PATIENCE:.0f} s: start it again"
                    ) from error
                continue
            answered = clock.now()
            answers.add(answered - sent)
            events.update(reply["events"])
            followed.add(reply, sent, clock.now(), counts=followed.begun and not pose)
            pose = reply["pose"]
            freely += 0.0 if pose or not followed.begun else 1 / config.rate_hz
    return {"answer": answers.summary(), "sent_to_moved": followed.latency.summary(), "events": dict(events)}


class Followed:
    """From a message's sending to the first motion of the hand's targets that came after it, however many shared it."""

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self.latency, self.begun = Latencies(), False
        self._open: collections.deque[tuple[int, float, float, bool]] = collections.deque(maxlen=10_000)

    def add(self, reply: dict, sent: float, answered: float, counts: bool) -> None:
        """A message, sent and answered at these moments [s], and what the answer says of earlier ones.

        The message arrived before it was answered, so the way to the answer is counted too: never too short.
        """
        if not reply["events"]:
            self._open.append((reply["heard"], sent, answered, counts))
        acted = reply["acted"]
        if acted is None:
            return
        self.begun = True
        moved = next((answered + acted["after"] for n, _, answered, _ in self._open if n == acted["heard"]), None)
        while moved is not None and self._open and self._open[0][0] <= acted["heard"]:
            _, sent, _, counts = self._open.popleft()
            if counts:
                self.latency.add(moved - sent)


if __name__ == "__main__":
    launch.main(run, continues=False)
