"""The robot's side of the policy server: asks for joint targets and gives up in time. Needs numpy, pyzmq and msgpack.

A late answer is dropped, never used for a later question.
"""

import math
import time
from typing import Any

import numpy as np
import zmq

from dexgen_jax.deploy import messages


class Client:
    """One robot's connection; the server keeps a controller's memory for each."""

    def __init__(self, address: str = "tcp://127.0.0.1:5555", token: str | None = None, timeout_s: float = 2.0):
        """Connects when the first question is asked; an answer may take `timeout_s` [s]."""
        self.address, self.timeout_s, self._number = address, timeout_s, 0
        self._hello = {"version": messages.VERSION} | ({} if token is None else {"token": token})
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        # Nothing is queued for a server that is not there: it would get old readings in a burst when it comes.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, messages.LARGEST)
        self._socket.connect(address)

    def describe(self) -> dict[str, Any]:
        """Returns the controller's contract: joint names and order, units, limits, modes, rates."""
        return self._ask("describe")["contract"]

    def statistics(self) -> dict[str, Any]:
        """Returns the server's latency and counts."""
        return self._ask("statistics")["statistics"]

    def reset(self, q: np.ndarray, target: np.ndarray | None = None) -> None:
        """Begins anew: joint positions `q` (n,) [rad] and their targets (default: where they are)."""
        self._ask("reset", q=q, target=q if target is None else target)

    def act(
        self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None = None, kind: str = "joints",
        mode: str = "default", strength: float = 1.0, age: float = 0.0, released: bool = False,
    ) -> tuple[np.ndarray, dict[str, Any]]:  # fmt: skip
        """One control tick: returns joint targets (n,) [rad] and diagnostics. Arguments are those of `Controller.act`.

        Raises TimeoutError if the answer does not come in time, ValueError if the server refuses.
        """
        fields = {"q": q, "target": target, "mode": mode, "age": age}
        if command is not None:
            fields |= {"command": command, "kind": kind, "strength": strength, "released": released}
        reply = self._ask("act", **fields)
        return messages.array(reply, "target", np.shape(target)), reply["diagnostics"]

    def close(self) -> None:
        """Gives the place at the server back, if it is there to hear it; a second time does nothing."""
        if self._socket.closed:
            return
        try:
            self._ask("leave")
        except (TimeoutError, ValueError):
            pass
        self._socket.close()
        self._context.term()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, ask: str, **fields: Any) -> dict[str, Any]:
        self._number += 1
        latest = time.monotonic() + self.timeout_s
        self._wait(zmq.POLLOUT, latest)
        self._socket.send(messages.encode({**self._hello, "id": self._number, "ask": ask, **fields}))
        while True:
            self._wait(zmq.POLLIN, latest)
            reply = messages.decode(self._socket.recv())
            if reply.get("id") != self._number:
                continue  # the answer to a question that was given up
            if not reply.get("ok"):
                raise ValueError(f"the server at {self.address} refuses: {reply.get('error')}")
            return reply

    def _wait(self, event: int, latest: float) -> None:
        if not self._socket.poll(max(math.ceil(1e3 * (latest - time.monotonic())), 0), event):
            raise TimeoutError(f"no answer from {self.address} within {self.timeout_s:g} s: is the server running?")
