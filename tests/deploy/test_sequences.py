"""Whatever clients say in whatever order: the server beside a model of what must hold, step by step.

The model keeps a controller of its own for each client and tells it what that client said; so an answer that another
client's words had changed would differ. Messages go to `Server.answer` as bytes; the wire is tested elsewhere.
"""

import copy

import numpy as np
import pytest
from counting_session import HAND, MIDDLE

from dexgen_jax.controller.safety import Limits
from dexgen_jax.deploy import contract, messages
from dexgen_jax.deploy.server import Server

CLIENTS, PLACES = [b"one", b"two", b"three", b"four"], 3
ASKS = ["act"] * 14 + ["reset"] * 3 + ["leave", "restart", "again", "late", "nonsense", "bad reset", "describe"]


class Walk:
    """A random walk through all that may happen; `step()` raises AssertionError where the server strays."""

    def __init__(self, controller, seed):
        self.controller, self.rng = controller, np.random.default_rng(seed)
        self.terms, self.server = contract.describe(controller), None
        self.force, self.kept, self.done = dict.fromkeys(CLIENTS, MIDDLE), [], {}
        self.restart()

    def restart(self):
        """A new server, which knows nobody."""
        if self.server:
            self.server.close()
        new_session = lambda: copy.copy(self.controller)
        self.server = Server(self.terms, new_session, "tcp://127.0.0.1:*", max_clients=PLACES)
        self.mirrors = {}

    def step(self):
        """One thing that happens."""
        what, client = self.rng.choice(ASKS), CLIENTS[self.rng.integers(len(CLIENTS))]
        self.done[what] = self.done.get(what, 0) + 1
        if what == "restart":
            return self.restart()
        if what in ("again", "late") and self.kept:  # the same bytes twice, or long after; from whoever wrote them
            return self.say(*self.kept[-1 if what == "again" else self.rng.integers(len(self.kept))])
        bad = {"q": MIDDLE * np.nan, "target": MIDDLE}
        asked = {"act": self.an_act, "reset": self.a_reset, "bad reset": lambda client: bad}
        fields = asked[what](client) if what in asked else {}
        self.say(client, {"ask": what.removeprefix("bad "), **fields})

    def a_reset(self, client):
        self.force[client] = self.near(MIDDLE)
        return {"q": self.near(MIDDLE), "target": self.force[client]}

    def an_act(self, client):
        """A tick from the targets in force, and now and then with something wrong in it."""
        fields = {"q": self.near(self.force[client]), "target": self.force[client]}
        fields["mode"] = str(self.rng.choice(self.terms["modes"]))
        if self.rng.random() < 0.7:
            strength = float(self.rng.choice([0, 0.3, np.inf]))
            fields |= {"command": self.near(self.force[client], 0.5), "strength": strength}
        odd = {"age": 0.3, "released": True, "strength": -1.0, "q": self.broken(), "target": self.broken()}
        if self.rng.random() < 0.3:
            name = str(self.rng.choice(list(odd)))
            fields[name] = odd[name]
        return fields

    def near(self, joints, spread=0.05):
        spread = spread * self.rng.standard_normal(len(joints))
        return np.clip(joints + spread, HAND.lower, HAND.upper).astype(np.float32)

    def broken(self):
        joints = MIDDLE.copy()
        joints[self.rng.integers(len(joints))] = self.rng.choice([np.nan, np.inf, 9.0])
        return joints

    def say(self, client, said):
        """Tells it to the server and to the model, and compares."""
        self.kept = [*self.kept[-20:], (client, said)]
        reply = self.server.answer(client, messages.encode({"version": messages.VERSION, "id": 1, **said}))
        assert self.server.failed == 0 and len(self.server._clients) <= PLACES
        words = {name: value for name, value in said.items() if name != "ask"}
        mirror, full = self.mirrors.get(client), len(self.mirrors) >= PLACES
        if said["ask"] == "reset":
            taken = bool(np.isfinite(words["q"]).all()) and (mirror is not None or not full)
            assert reply["ok"] == taken
            if taken:
                self.mirrors[client] = mirror or copy.copy(self.controller)
                self.mirrors[client].reset(**words)
        elif said["ask"] == "act":
            assert reply["ok"] == (mirror is not None)
            if mirror is None:
                assert reply["reason"] == messages.FORGOTTEN and "target" not in reply
            else:
                self.compare(client, words, np.float32(reply["target"]), mirror)
        elif said["ask"] == "leave":
            assert reply["ok"]
            self.mirrors.pop(client, None)
        else:
            assert reply["ok"] == (said["ask"] == "describe")

    def compare(self, client, words, action, mirror):
        before = words["target"] if np.isfinite(words["target"]).all() and np.abs(words["target"]).max() < 2 else None
        safe = np.asarray(mirror.state.safe)
        np.testing.assert_array_equal(action, mirror.act(**words)[0])  # nobody else's words are in it
        assert (action >= HAND.lower - 1e-6).all() and (action <= HAND.upper + 1e-6).all()
        assert np.abs(action - (safe if before is None else before)).max() <= Limits().max_step + 1e-6
        self.force[client] = action


@pytest.mark.parametrize("steps", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_order_of_messages_leads_the_server_astray(steps, controller):
    controller.reset(MIDDLE)
    walk = Walk(controller, seed=steps)
    for _ in range(steps):
        walk.step()
    walk.server.close()
    assert set(walk.done) == set(ASKS)
