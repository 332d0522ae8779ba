"""The side that answers the messages of `messages.py`: one ZeroMQ ROUTER, one thread, no pickle.

It listens on this machine alone unless a token is set: then every message must carry it. A message that is not
perfectly in order is answered with what was wrong with it and touches nothing.
"""

import hmac
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

try:
    import zmq

    from dexgen_jax.deploy import messages
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("the server needs pyzmq and msgpack: pip install 'dexgen_jax[deploy]'") from error
from dexgen_jax.deploy.address import require_token
from dexgen_jax.deploy.latency import Latencies

QUEUED = 256  # messages that may wait for each client, in either direction; more are lost

_log = logging.getLogger(__name__)
Answer = Callable[[bytes, dict[str, Any]], dict[str, Any]]  # client's name, message -> fields of the reply


class Listener:
    """Answers until it is told to stop; bound as soon as it is made, `address` is where."""

    timed = ""  # field of those replies whose time counts in `latency`

    def __init__(self, contract: dict, address: str, token: str | None, answers: Mapping[str, Answer]):
        """`contract` is what those who ask are told and held to; `answers` are what a subclass adds."""
        require_token(address, token)
        self.contract, self._token = contract, token
        self._answers = {"describe": self._describe, **answers, "statistics": self._statistics}
        self.latency, self.refused, self.failed = Latencies(), 0, 0
        self.refusal = ""  # why the last message that was refused was
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        # A client whose connection broke comes back under its name before the old connection is known to be dead.
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, messages.LARGEST)  # a longer message ends its connection
        for option in (zmq.SNDHWM, zmq.RCVHWM):
            self._socket.setsockopt(option, QUEUED)
        self._socket.setsockopt(zmq.LINGER, 200)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise OSError(f"cannot listen on {address}: {error.strerror}") from error
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def serve(self, stop: Callable[[], bool]) -> None:
        """Answers messages as they come; `stop()` is asked at least ten times a second."""
        while not stop():
            if not self._socket.poll(timeout=100):
                continue
            begin = time.perf_counter()
            client, *envelope, payload = self._socket.recv_multipart()
            if envelope not in ([], [b""]):  # neither a DEALER nor a REQ wrote this
                self.refused += 1
                continue
            reply = self.answer(client, payload)
            self._socket.send_multipart([client, *envelope, messages.encode(reply)])
            if self.timed in reply:
                self.latency.add(time.perf_counter() - begin)

    def close(self) -> None:
        """Frees the address; what has been answered is still sent."""
        self._socket.close()
        self._context.term()

    def answer(self, client: bytes, payload: bytes) -> dict[str, Any]:
        """Returns the reply to one message. Whatever is in it, the server lives on."""
        number = None
        try:
            message = messages.decode(payload)
            said = message.pop("id", None)
            number = said if type(said) is int else None
            self._admit(message)
            ask = messages.text(message, "ask", self._answers)
            return self._reply(number, True, **self._answers[ask](client, message))
        except ValueError as error:
            self.refused, self.refusal = self.refused + 1, str(error)
            reason = getattr(error, "reason", "")
            return self._reply(number, False, error=str(error), **({"reason": reason} if reason else {}))
        except Exception as error:  # a fault of ours: the others must be served on
            self.failed += 1
            _log.exception("a request failed")
            words = f"the server failed: {type(error).__name__}; its log says where"
            return self._reply(number, False, error=words, reason=messages.FAILED)

    def statistics(self) -> dict[str, Any]:
        """Plain values."""
        return {"refused": self.refused, "failed": self.failed}

    def _reply(self, number: int | None, ok: bool, **fields: Any) -> dict[str, Any]:
        return {"version": messages.VERSION, "id": number, "ok": ok, **fields}

    def _admit(self, message: dict[str, Any]) -> None:
        """Checks token and version, and takes them out of the message."""
        token = message.pop("token", None)
        if self._token is not None:
            given = token if isinstance(token, str) else ""
            # In constant time: how long the comparison takes must not tell how much of a guess was right.
            if not hmac.compare_digest(given.encode(errors="replace"), self._token.encode()):
                raise ValueError("the token is missing or wrong")
        version = message.pop("version", None)
        if type(version) is not int or version != messages.VERSION:
            raise ValueError(f"this server speaks version {messages.VERSION} of the messages, got {str(version)[:40]}")

    def _describe(self, client: bytes, message: dict[str, Any]) -> dict[str, Any]:
        messages.refuse_unknown(message, ["ask"])
        return {"contract": self.contract}

    def _statistics(self, client: bytes, message: dict[str, Any]) -> dict[str, Any]:
        messages.refuse_unknown(message, ["ask"])
        return {"statistics": self.statistics()}
