"""The policy server: several robots, each with a controller's memory of its own, ask one process for joint targets.

ZeroMQ ROUTER, one thread, no pickle. It listens on this machine alone unless a token is set: then every message must
carry it. A message that is not perfectly in order is answered with what was wrong with it and touches nothing.
"""

import hashlib
import hmac
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import zmq

from dexgen_jax.controller import fields
from dexgen_jax.controller.controller import Diagnostics
from dexgen_jax.controller.numbers import place
from dexgen_jax.controller.safety import Event
from dexgen_jax.deploy import messages
from dexgen_jax.deploy.address import require_token
from dexgen_jax.deploy.latency import Latencies

IDLE = 60.0  # s without a word, after which a client's place may go to another
QUEUED = 256  # messages that may wait for each client, in either direction; more are lost
RELIED_ON = ("format", "version", "hand", "joints", "keypoints", "control_hz", "modes", "commands")  # by a driver

_log = logging.getLogger(__name__)


class Session(Protocol):
    """One client's controller: `Controller`, or whatever else has these two calls."""

    def reset(self, q: np.ndarray, target: np.ndarray) -> None:
        """Forgets the past; joints and their targets (n,) [rad]."""

    def act(self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None, **how: Any) -> tuple[Any, Diagnostics]:
        """One control tick, see `Controller.act`."""


class Server:
    """Answers clients until it is told to stop; bound as soon as it is made, `address` is where."""

    def __init__(
        self, contract: dict, new_session: Callable[[], Session], address: str = "tcp://127.0.0.1:5555",
        token: str | None = None, max_clients: int = 16,
    ):  # fmt: skip
        """`contract` is what clients are told and held to; `new_session()` must be quick: compile before."""
        if max_clients < 1:
            raise ValueError(f"a server needs room for at least 1 client, got max_clients={max_clients}")
        require_token(address, token)
        self.contract, self.max_clients = contract, max_clients
        terms = json.dumps({name: contract.get(name) for name in RELIED_ON}, sort_keys=True)
        self._terms = hashlib.sha256(terms.encode()).hexdigest()
        self._new_session, self._token = new_session, token
        self._clients: OrderedDict[bytes, tuple[Session, float]] = OrderedDict()  # the longest silent one first
        self._answers = {
            "describe": self._describe, "reset": self._reset, "act": self._act,
            "statistics": self._statistics, "leave": self._leave,
        }  # fmt: skip
        self.latency, self.refused, self.failed = Latencies(), 0, 0
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
            if "target" in reply:
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
            self.refused += 1
            reason = getattr(error, "reason", "")
            return self._reply(number, False, error=str(error), **({"reason": reason} if reason else {}))
        except Exception as error:  # a fault of ours: the others must be served on
            self.failed += 1
            _log.exception("a request failed")
            return self._reply(number, False, error=f"the server failed: {type(error).__name__}; its log says where")

    def statistics(self) -> dict[str, Any]:
        """Plain values; latency of `act`, from the message's arrival at this process to the reply's leaving it."""
        return {
            "act": self.latency.summary(),
            "clients": len(self._clients),
            "refused": self.refused,
            "failed": self.failed,
        }

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

    def _leave(self, client: bytes, message: dict[str, Any]) -> dict[str, Any]:
        messages.refuse_unknown(message, ["ask"])
        self._clients.pop(client, None)
        return {}

    def _reset(self, client: bytes, message: dict[str, Any]) -> dict[str, Any]:
        messages.refuse_unknown(message, ["ask", "q", "target"])
        q, target = (messages.tick_input(message, name, self.contract) for name in ("q", "target"))
        if client not in self._clients:
            self._make_room()
        session = self._clients[client][0] if client in self._clients else self._new_session()
        session.reset(q, target)
        self._remember(client, session)
        return {"terms": self._terms}

    def _act(self, client: bytes, message: dict[str, Any]) -> dict[str, Any]:
        options = [name for name, field in self.contract["inputs"].items() if "default" in field]
        messages.refuse_unknown(message, ["ask", "q", "target", "command", "kind", *options])
        if client not in self._clients:
            why = "never reset, silent for long, or the server is new"
            raise messages.Refused(f"this client has no session ({why}): ask for a reset first", messages.FORGOTTEN)
        q, target = (messages.tick_input(message, name, self.contract) for name in ("q", "target"))
        how = {name: messages.tick_input(message, name, self.contract) for name in options if name in message}
        how["kind"] = message.get("kind", "joints")
        place(how["kind"], self.contract["commands"], "kind of command")
        command = None
        if message.get("command") is not None:
            command = messages.array(message, "command", self.contract["commands"][how["kind"]]["shape"])
        session = self._clients[client][0]
        action, diagnostics = session.act(q, target, command, **how)
        self._remember(client, session)
        return {"target": np.asarray(action).tolist(), "diagnostics": plain(diagnostics)}

    def _remember(self, client: bytes, session: Session) -> None:
        self._clients[client] = session, time.monotonic()
        self._clients.move_to_end(client)

    def _make_room(self) -> None:
        if len(self._clients) < self.max_clients:
            return
        oldest, (_, heard) = next(iter(self._clients.items()))
        if time.monotonic() - heard < IDLE:
            raise ValueError(f"all {self.max_clients} places are taken; one is free after {IDLE:g} s of silence")
        del self._clients[oldest]


def plain(diagnostics: Diagnostics) -> dict[str, Any]:
    """The single numbers of diagnostics, and the events by name; without `alpha`, which `strength` says as well."""
    told = [name for name, field in fields.of(Diagnostics).items() if not field.shape and name != "alpha"]
    numbers, events = {name: float(getattr(diagnostics, name)) for name in told}, int(diagnostics.events)
    return {**numbers, "events": [event.name for event in Event if events & event and event != Event.HELD]}
