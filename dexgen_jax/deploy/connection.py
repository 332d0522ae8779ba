"""The side that asks: one connection to whoever answers the messages of `messages.py`, and gives up in time.

A late answer is dropped, never used for a later question. A connection has a name of its own, so that a broken wire
costs nothing but time. Threads may share one, and wait for each other; a forked process needs one of its own. Needs
numpy, pyzmq and msgpack.
"""

import contextlib
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Self

try:
    import zmq

    from dexgen_jax.deploy import messages
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a client needs pyzmq and msgpack: pip install 'dexgen_jax[deploy]'") from error


class Connection:
    """Asks, and waits for the answer."""

    def __init__(self, address: str = "tcp://127.0.0.1:5555", token: str | None = None, timeout_s: float = 2.0):
        """Connects when the first question is asked; an answer may take `timeout_s` [s]."""
        self.address, self.timeout_s, self._number = address, timeout_s, 0
        self._hello = {"version": messages.VERSION} | ({} if token is None else {"token": token})
        self._name = uuid.uuid4().hex.encode()  # nobody else can guess it, or take its place
        self._process, self._asking = os.getpid(), threading.Lock()
        self._context = zmq.Context()
        self._socket = self._connect()

    def describe(self) -> dict[str, Any]:
        """Returns the contract of whoever answers: names and their order, units, limits, rates."""
        return self._ask("describe")["contract"]

    def statistics(self) -> dict[str, Any]:
        """Returns latency and counts of whoever answers."""
        return self._ask("statistics")["statistics"]

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

    def __enter__(self) -> Self:
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

    def _ask(self, ask: str, latest: float | None = None, **fields: Any) -> dict[str, Any]:
        latest = time.monotonic() + self.timeout_s if latest is None else latest
        with self._one_at_a_time(latest):
            self._number += 1
            question = messages.encode({**self._hello, "id": self._number, "ask": ask, **fields})
            self._wait(zmq.POLLOUT, latest)
            try:
                self._socket.send(question, zmq.NOBLOCK)
            except zmq.Again:  # the connection broke between the look and the sending
                raise TimeoutError(f"{self.address} went away: is the server running?") from None
            while True:
                self._wait(zmq.POLLIN, latest)
                reply = messages.decode(self._socket.recv())
                if reply.get("id") == self._number:  # and not the answer to a question that was given up
                    break
        if not reply.get("ok"):
            error, reason = reply.get("error"), reply.get("reason", "")
            if reason == messages.FAILED:  # no fault of the question: to a loop it is an answer that did not come
                raise TimeoutError(f"no answer from {self.address}: {error}")
            raise messages.Refused(f"the server at {self.address} refuses: {error}", reason)
        return reply

    @contextlib.contextmanager
    def _one_at_a_time(self, latest: float) -> Iterator[None]:
        """ZeroMQ's sockets serve one thread at a time, only the process that made them, and only until they close."""
        if os.getpid() != self._process:
            raise RuntimeError(
                f"this client was made by process {self._process}, and this is {os.getpid()}, forked from it: "
                f"make a {type(self).__name__} here"
            )
        if not self._asking.acquire(timeout=max(latest - time.monotonic(), 0)):
            raise TimeoutError(f"another thread waits for {self.address}, and did so for {self.timeout_s:g} s")
        try:
            if self._socket.closed:
                raise RuntimeError(f"this client of {self.address} is closed: make another {type(self).__name__}")
            yield
        finally:
            self._asking.release()

    def _wait(self, event: int, latest: float) -> None:
        if not self._socket.poll(max(math.ceil(1e3 * (latest - time.monotonic())), 0), event):
            raise TimeoutError(f"no answer from {self.address} within {self.timeout_s:g} s: is the server running?")
