"""The robot's side of the policy server: asks for joint targets and gives up in time. Needs numpy, pyzmq and msgpack.

A late answer is dropped, never used for a later question. The client has a name of its own, so a broken connection
costs nothing but time; a server that was restarted, or has forgotten it, is told anew where the hand is. Threads may
share a client, and wait for each other; a forked process needs one of its own.
"""

import contextlib
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import zmq

from dexgen_jax.controller import tick_input
from dexgen_jax.controller.numbers import floats
from dexgen_jax.deploy import messages


class Client:
    """One robot's connection; the server keeps a controller's memory for each."""

    def __init__(self, address: str = "tcp://127.0.0.1:5555", token: str | None = None, timeout_s: float = 2.0):
        """Connects when the first question is asked; an answer may take `timeout_s` [s]."""
        self.address, self.timeout_s, self._number = address, timeout_s, 0
        self._hello = {"version": messages.VERSION} | ({} if token is None else {"token": token})
        self._terms: str | None = None  # of the controller that it was reset with
        self._name = uuid.uuid4().hex.encode()  # nobody else can guess it, or take its place
        self._process, self._asking = os.getpid(), threading.Lock()
        self._context = zmq.Context()
        self._socket = self._connect()

    def describe(self) -> dict[str, Any]:
        """Returns the controller's contract: joint names and order, units, limits, modes, rates."""
        return self._ask("describe")["contract"]

    def statistics(self) -> dict[str, Any]:
        """Returns the server's latency and counts."""
        return self._ask("statistics")["statistics"]

    def reset(self, q: np.ndarray, target: np.ndarray | None = None) -> None:
        """Begins anew: joint positions `q` (n,) [rad] and their targets (default: where they are)."""
        self._terms = self._ask("reset", q=q, target=q if target is None else target)["terms"]

    @tick_input.documented
    def act(
        self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None = None, kind: str = "joints", **options: Any
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """One control tick: returns joint targets (n,) [rad] and diagnostics. Arguments are those of `Controller.act`.

        Raises TimeoutError if the answer does not come in time, ConnectionResetError if the server had forgotten the
        hand (it was restarted): then it has been reset with this reading, and the next tick goes on. `loop.run` holds
        the last target in both. ValueError if the server refuses what is asked, RuntimeError before the first reset.
        """
        if self._terms is None:
            raise RuntimeError("the server does not know the hand yet: call reset(q) before the first act")
        latest = time.monotonic() + self.timeout_s
        said = {"q": q, "target": target, **options, **({} if command is None else {"command": command})}
        # Names and flags go as they are: the server knows what there is.
        words = [name for name, field in tick_input.options().items() if field.dtype != "float32"]
        numbers = {name: floats(value, np.shape(value), name) for name, value in said.items() if name not in words}
        try:
            reply = self._ask("act", latest, kind=kind, **said | numbers)
        except messages.Refused as refused:
            if refused.reason != messages.FORGOTTEN:
                raise
            self._begin_anew(q, target, latest)
            raise ConnectionResetError(f"the server at {self.address} had forgotten the hand, and was told") from None
        return messages.array(reply, "target", np.shape(target)), reply["diagnostics"]

    def close(self) -> None:
        """Gives the place at the server back, if it is there to hear it; a second time does nothing."""
        if self._socket.closed or os.getpid() != self._process:
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

    def _connect(self) -> zmq.Socket:
        connected = self._context.socket(zmq.DEALER)
        connected.setsockopt(zmq.IDENTITY, self._name)
        # Nothing is queued for a server that is not there: it would get old readings in a burst when it comes.
        connected.setsockopt(zmq.IMMEDIATE, 1)
        connected.setsockopt(zmq.LINGER, 0)
        connected.setsockopt(zmq.MAXMSGSIZE, messages.LARGEST)
        connected.connect(self.address)
        return connected

    def _begin_anew(self, q: np.ndarray, target: np.ndarray, latest: float) -> None:
        """Resets with the reading of this tick; if the server does not take that one, the next tick tries again."""
        try:
            terms = self._ask("reset", latest, q=q, target=target)["terms"]
        except messages.Refused as refused:
            raise ConnectionResetError(f"the hand is forgotten, and not taken again yet: {refused}") from refused
        if terms != self._terms:
            self._terms = None  # nothing more until somebody has looked
            raise ValueError(
                f"the server at {self.address} came back with a controller for other joints, commands or modes than "
                "this client was reset with: look at describe(), then call reset(q)"
            )

    def _ask(self, ask: str, latest: float | None = None, **fields: Any) -> dict[str, Any]:
        latest = time.monotonic() + self.timeout_s if latest is None else latest
        with self._one_at_a_time(latest):
            self._number += 1
            self._wait(zmq.POLLOUT, latest)
            self._socket.send(messages.encode({**self._hello, "id": self._number, "ask": ask, **fields}))
            while True:
                self._wait(zmq.POLLIN, latest)
                reply = messages.decode(self._socket.recv())
                if reply.get("id") == self._number:  # and not the answer to a question that was given up
                    break
        if not reply.get("ok"):
            error = f"the server at {self.address} refuses: {reply.get('error')}"
            raise messages.Refused(error, reply.get("reason", ""))
        return reply

    @contextlib.contextmanager
    def _one_at_a_time(self, latest: float) -> Iterator[None]:
        """ZeroMQ's sockets serve one thread at a time, and only the process that made them."""
        if os.getpid() != self._process:
            raise RuntimeError(
                f"this client was made by process {self._process}, and this is {os.getpid()}, forked from it: "
                "make a Client here"
            )
        if not self._asking.acquire(timeout=max(latest - time.monotonic(), 0)):
            raise TimeoutError(f"another thread waits for {self.address}, and did so for {self.timeout_s:g} s")
        try:
            yield
        finally:
            self._asking.release()

    def _wait(self, event: int, latest: float) -> None:
        if not self._socket.poll(max(math.ceil(1e3 * (latest - time.monotonic())), 0), event):
            raise TimeoutError(f"no answer from {self.address} within {self.timeout_s:g} s: is the server running?")
