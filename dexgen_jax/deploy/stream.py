"""What an input device says, heard: a person's fingertips by the messages of the policy server, and what to make of it.

    {version, id, token?, ask: "tips", hand, tips, age?}    tips (fingers, 3) [m, the person's palm frame]
    {version, id, ok: true, heard, events, pose, acted}

Bad input means what it means at the policy server. Wrong numbers, and none at all, hold the hand: `command` raises
TimeoutError with the reason in one line, which `loop.run` and the viewer's session take for "hold the targets". Faults
of a program (another shape, another hand, text) are refused and touch nothing.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from dexgen_jax.deploy import calibration, messages
from dexgen_jax.deploy.calibration import Calibration
from dexgen_jax.deploy.latency import Latencies
from dexgen_jax.deploy.listener import Listener
from dexgen_jax.hand.description import Hand

FARTHEST = 0.5  # m from the palm: no finger is longer
SLACK, FASTEST = 0.05, 3.0  # m and m/s: a tip that moved further than both together since the last message has jumped
IDLE = 2.0  # s without a word, after which another device may have the hand
REFUSED, LATE = "COMMAND_REFUSED", "LATE"  # of `safety.Event`


class Stream(Listener):
    """Listens to one device at a time; `serve` in a thread, `command` from whoever drives the hand."""

    def __init__(
        self,
        hand: Hand,
        address: str = "tcp://127.0.0.1:5556",
        token: str | None = None,
        max_age: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ):
        """A message older than `max_age` [s] holds the hand."""
        self.fingers = calibration.names(hand)
        contract = {
            "format": "dexgen_jax input device", "hand": hand.name, "fingers": list(self.fingers), "unit": "m",
            "frame": "palm: x out of the palm, z along the straight fingers, origin at the root of the middle finger",
            "poses": calibration.POSES, "max_age": max_age, "events": [REFUSED, LATE],
        }  # fmt: skip
        self._calibration: Calibration | None = None
        self.pose = ""  # what the person is asked to do: one of `calibration.POSES`, or nothing
        self.moved = Latencies()  # from a message's arrival to the motion of the hand's targets that it led to
        self._hand, self._max_age, self._clock = hand.name, max_age, clock
        self._lock = threading.Lock()
        self._device, self._heard = b"", -np.inf  # who has the hand, and when it last spoke
        self._tips, self._when, self._why = np.zeros((len(self.fingers), 3)), -np.inf, "no device has spoken yet"
        self._readings: list[np.ndarray] = []
        self._number = 0  # of the last message that is to be followed
        self._came: list[float] = []  # when those came that no `command` has taken yet
        self._taken: tuple[int, list[float]] = 0, []  # the last one that was taken, and when they came
        self._acted: dict[str, Any] | None = None
        super().__init__(contract, address, token, {"tips": self._hear, "leave": self._leave})

    def follow(self, calibrated: Calibration | None) -> None:
        """From now on the hand follows, by this calibration; with None it holds."""
        with self._lock:
            self._calibration, self._came = calibrated, []

    def command(self) -> np.ndarray:
        """Where the hand's tips are wanted now (fingers, 3) [m, the hand's palm frame].

        Raises TimeoutError while there is no calibration, or the device's last word is none to follow.
        """
        with self._lock:
            if self._calibration is None:
                raise TimeoutError("the device is not calibrated yet")
            if self._why:
                raise TimeoutError(self._why)
            if self._clock() - self._when > self._max_age:
                refused = f"; refused: {self.refusal}" if self.refusal else ""
                raise TimeoutError(f"the device has said nothing sound for more than {self._max_age:g} s{refused}")
            self._taken, self._came = (self._number, self._taken[1] + self._came), []
            return self._calibration.apply(self._tips)

    def done(self) -> None:
        """The hand's targets have moved as the last `command` asked: counts how long its messages had to wait."""
        with self._lock:
            now, (number, came) = self._clock(), self._taken
            for moment in came:
                self.moved.add(now - moment)
            if came:
                self._acted, self._taken = {"heard": number, "after": now - came[-1]}, (number, [])

    def readings(self) -> np.ndarray:
        """All that was heard since this was last called (n, fingers, 3) [m, the person's palm frame]."""
        with self._lock:
            readings, self._readings = self._readings, []
        return np.array(readings).reshape(-1, len(self.fingers), 3)

    def statistics(self) -> dict[str, Any]:
        """Plain values; `moved` is from a message's arrival to the motion of the hand's targets."""
        return {"moved": self.moved.summary(), **super().statistics()}

    def _hear(self, device: bytes, message: dict[str, Any]) -> dict[str, Any]:
        messages.refuse_unknown(message, ["ask", "hand", "tips", "age"])
        messages.text(message, "hand", [self._hand])
        tips = messages.array(message, "tips", (len(self.fingers), 3)).astype(float)
        age = float(messages.array(message, "age", ())) if "age" in message else 0.0
        with self._lock:
            now = self._clock()
            if device != self._device and now - self._heard < IDLE:
                raise ValueError(f"another device has the hand; it is free after {IDLE:g} s of silence")
            event, why = self._judge(tips, age)
            if not why:
                if device == self._device:
                    event, why = self._jump(tips, now)
                # Also of what jumped: where a tracker stays, it is believed from the second message on.
                self._tips, self._when = tips, now - age
            self._device, self._heard, self._why, self.refusal = device, now, why, ""
            if not why:
                self._number, self._came = self._number + 1, [*self._came[-1000:], now]
                self._readings = [*self._readings[-10_000:], tips]
            said = {"heard": self._number, "events": [event] if event else []}
            return said | {"pose": self.pose, "acted": self._acted}

    def _judge(self, tips: np.ndarray, age: float) -> tuple[str, str]:
        """The event of a message, and why it is not to be followed; nothing if it is."""
        for finger, tip in zip(self.fingers, tips, strict=True):
            if not np.isfinite(tip).all():
                return REFUSED, f"the device's position of {finger} is not a number"
            if np.linalg.norm(tip) > FARTHEST:
                return REFUSED, f"the device's position of {finger} is {np.linalg.norm(tip):.3g} m from the palm"
        if not abs(age) <= self._max_age:
            return LATE, f"the device's reading was {age:g} s old, and {self._max_age:g} s is the most"
        return "", ""

    def _jump(self, tips: np.ndarray, now: float) -> tuple[str, str]:
        """The same for the way from the last message."""
        way = np.linalg.norm(tips - self._tips, axis=-1)
        furthest = int(np.argmax(way))
        if way[furthest] > SLACK + FASTEST * max(now - self._when, 0.0):
            return REFUSED, f"the device's {self.fingers[furthest]} jumped by {100 * way[furthest]:.0f} cm"
        return "", ""

    def _leave(self, device: bytes, message: dict[str, Any]) -> dict[str, Any]:
        messages.refuse_unknown(message, ["ask"])
        with self._lock:
            if device == self._device:
                self._device, self._heard, self._why = b"", -np.inf, "the device has left"
        return {}
