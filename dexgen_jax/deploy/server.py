"""The policy server: several robots, each with a controller's memory of its own, ask one process for joint targets.

How it listens, and what it does not believe: see `listener.py`.
"""

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dexgen_jax.controller import fields
from dexgen_jax.controller.controller import Diagnostics
from dexgen_jax.controller.numbers import place
from dexgen_jax.controller.safety import Event
from dexgen_jax.deploy import messages
from dexgen_jax.deploy.listener import Listener

IDLE = 60.0  # s without a word, after which a client's place may go to another
RELIED_ON = ("format", "version", "hand", "joints", "keypoints", "control_hz", "modes", "commands")  # by a driver


class Session(Protocol):
    """One client's controller: `Controller`, or whatever else has these two calls."""

    def reset(self, q: np.ndarray, target: np.ndarray) -> None:
        """Forgets the past; joints and their targets (n,) [rad]."""

    def act(self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None, **how: Any) -> tuple[Any, Diagnostics]:
        """One control tick, see `Controller.act`."""


class Server(Listener):
    """Answers clients until it is told to stop; bound as soon as it is made, `address` is where."""

    timed = "target"

    def __init__(
        self,
        contract: dict,
        new_session: Callable[[], Session],
        address: str = "tcp://127.0.0.1:5555",
        token: str | None = None,
        max_clients: int = 16,
    ):
        """`contract` is what clients are told and held to; `new_session()` must be quick: compile before."""
        if max_clients < 1:
            raise ValueError(f"a server needs room for at least 1 client, got max_clients={max_clients}")
        super().__init__(contract, address, token, {"reset": self._reset, "act": self._act, "leave": self._leave})
        self.max_clients, self._new_session = max_clients, new_session
        terms = json.dumps({name: contract.get(name) for name in RELIED_ON}, sort_keys=True)
        self._terms = hashlib.sha256(terms.encode()).hexdigest()
        self._clients: OrderedDict[bytes, tuple[Session, float]] = OrderedDict()  # the longest silent one first

    def statistics(self) -> dict[str, Any]:
        """Plain values; latency of `act`, from the message's arrival at this process to the reply's leaving it."""
        return {"act": self.latency.summary(), "clients": len(self._clients), **super().statistics()}

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
