import itertools
import pickle
import socket
import threading

import msgpack
import numpy as np
import pytest
import zmq
from counting_session import CONTRACT, MIDDLE, TOKEN, CountingSession
from test_loop import FakeClock, FakeRobot

from dexgen_jax.deploy import loop, messages
from dexgen_jax.deploy.address import is_local
from dexgen_jax.deploy.client import Client
from dexgen_jax.deploy.server import Server

ACT = {
    "version": messages.VERSION, "id": 3, "ask": "act", "q": MIDDLE, "target": MIDDLE, "mode": "default", "age": 0.0,
    "command": MIDDLE, "kind": "joints", "strength": 0.1, "released": False,
}  # fmt: skip


def test_a_client_gets_what_its_session_says(serve, sessions):
    with Client(serve().address) as client:
        client.reset(MIDDLE, MIDDLE + 0.1)
        for count in (1, 2, 3):
            target, told = client.act(MIDDLE, MIDDLE, np.full((4, 3), 0.01), kind="tip_offsets", strength=0.1, age=0.02)
            np.testing.assert_array_equal(target, MIDDLE + np.float32(0.001) * count)
    assert told == {
        "distance": 0.25,
        "overruled": 0.5,
        "spread": 0.0,
        "strength": pytest.approx(0.1),
        "doubt": 0.001,
        "events": ["BAD_READING", "ACTION_CLIPPED"],
    }
    (session,) = sessions
    np.testing.assert_array_equal(session.resets[0][1], MIDDLE + np.float32(0.1))
    q, _, command, how = session.acts[-1]
    np.testing.assert_array_equal(q, MIDDLE)
    np.testing.assert_array_equal(command, np.full((4, 3), 0.01, np.float32))
    assert how == {"kind": "tip_offsets", "age": pytest.approx(0.02), "strength": pytest.approx(0.1)}  # what was said


def test_every_client_has_a_session_of_its_own(serve, sessions):
    address = serve().address
    with Client(address) as one, Client(address) as other:
        one.reset(MIDDLE)
        other.reset(MIDDLE)
        for count in (1, 2):
            np.testing.assert_array_equal(one.act(MIDDLE, MIDDLE)[0], MIDDLE + np.float32(0.001) * count)
        np.testing.assert_array_equal(other.act(MIDDLE, MIDDLE)[0], MIDDLE + np.float32(0.001))
        assert one.statistics() | {"act": 0} == {"act": 0, "clients": 2, "refused": 0, "failed": 0}
    assert [len(session.acts) for session in sessions] == [2, 1]


def test_latency_is_of_acts_alone(serve):
    server = serve()
    with Client(server.address) as client:
        client.reset(MIDDLE)
        for _ in range(20):
            client.act(MIDDLE, MIDDLE)
            client.describe()
        said = client.statistics()["act"]
    assert said["count"] == 20 and 0 < said["p50_ms"] <= said["p99_ms"] <= said["worst_ms"]


def test_a_req_socket_is_served_too(serve):
    with zmq.Context() as context, context.socket(zmq.REQ) as old:
        old.connect(serve().address)
        old.send(messages.encode({"version": messages.VERSION, "id": 9, "ask": "describe"}))
        assert messages.decode(old.recv())["contract"] == CONTRACT


def test_a_place_is_free_after_leaving_or_after_long_silence(serve, monkeypatch):
    address = serve(max_clients=1).address
    with Client(address) as one, Client(address) as other:
        one.reset(MIDDLE)
        one.reset(MIDDLE)  # its own place
        with pytest.raises(ValueError, match="all 1 places are taken; one is free after 60 s of silence"):
            other.reset(MIDDLE)
        monkeypatch.setattr("dexgen_jax.deploy.server.IDLE", 0.0)
        other.reset(MIDDLE)
        monkeypatch.undo()
        with pytest.raises(ConnectionResetError, match="not taken again yet: .*all 1 places are taken"):
            one.act(MIDDLE, MIDDLE)
        other.close()
        one.reset(MIDDLE)


@pytest.mark.parametrize("token", [None, TOKEN[:-1], TOKEN + "!", "", 7, "\ud800"])
def test_without_the_token_nothing_is_told_and_nothing_done(token, serve, sessions):
    server = serve(token=TOKEN)
    for ask in ("describe", "reset", "act", "statistics", "leave", "nonsense"):
        message = {**ACT, "ask": ask} | ({} if token is None else {"token": token})
        packed = msgpack.packb(message, default=lambda x: x.tolist(), unicode_errors="surrogatepass")
        reply = server.answer(b"x", packed)
        assert reply["ok"] is False and set(reply) == {"version", "id", "ok", "error"}
        assert reply["error"] == "the token is missing or wrong" or token == "\ud800"
    assert not sessions
    with Client(server.address, TOKEN) as friend:
        friend.reset(MIDDLE)


def test_a_failing_session_fails_alone(serve, sessions):
    server = serve()
    with Client(server.address) as one, Client(server.address) as other:
        one.reset(MIDDLE)
        other.reset(MIDDLE)
        sessions[0].act = lambda *_, **__: 1 / 0
        with pytest.raises(TimeoutError, match="no answer from tcp:.*: the server failed: ZeroDivisionError; its log"):
            one.act(MIDDLE, MIDDLE)
        other.act(MIDDLE, MIDDLE)
        assert other.statistics()["failed"] == 1


def test_a_loop_holds_while_the_server_fails_and_goes_on_after_it(serve, sessions):
    with Client(serve().address) as client:
        client.reset(MIDDLE)
        prompt = sessions[0].act
        faults = iter([True, True, False, False])
        sessions[0].act = lambda *said, **how: 1 / 0 if next(faults) else prompt(*said, **how)
        robot = FakeRobot(FakeClock(), [MIDDLE])
        decide = lambda q, target: client.act(q, target)[0]
        account = loop.run(robot, decide, MIDDLE, rate_hz=10, ticks=4, clock=robot.clock)
    assert account.summary()["held"] == {loop.NO_DECISION: 2}
    moved = [MIDDLE, MIDDLE, MIDDLE + np.float32(0.001), MIDDLE + np.float32(0.003)]
    np.testing.assert_allclose(robot.set, moved, atol=1e-6)


MALFORMED = [
    lambda rng: rng.bytes(rng.integers(0, 400)),
    lambda rng: messages.encode(ACT)[: rng.integers(0, 300)],
    lambda rng: messages.encode({**ACT, "version": rng.choice([0, 1, 2, -1, 2**40])}),
    lambda rng: messages.encode({**ACT, "version": [None, True, "1", 1.0][rng.integers(4)]}),
    lambda rng: messages.encode({**ACT, "ask": ["fire", "", None, 3, ["act"], "ACT"][rng.integers(6)]}),
    lambda rng: messages.encode({**ACT, _array(rng): _poisoned(rng)}),
    lambda rng: messages.encode({**ACT, _array(rng): rng.standard_normal(rng.choice([0, 1, 15, 17, 500])).tolist()}),
    lambda rng: messages.encode({**ACT, _array(rng): np.zeros((rng.integers(1, 9), rng.integers(1, 9))).tolist()}),
    lambda rng: messages.encode({**ACT, _array(rng): [True, "joints", {}, {"a": 1}, 7, 1e9][rng.integers(6)]}),
    lambda rng: messages.encode({**ACT, "strength": ["1", None, [], True][rng.integers(4)]}),
    lambda rng: messages.encode({**ACT, "age": ["0", None, [0.0], True][rng.integers(4)]}),
    lambda rng: messages.encode({**ACT, "kind": ["tip_positions", "jointz", 0, None][rng.integers(4)]}),
    lambda rng: messages.encode({**ACT, "mode": ["", "Default", 0, None, ["default"]][rng.integers(5)]}),
    lambda rng: messages.encode({**ACT, "released": [0, 1, "false", None][rng.integers(4)]}),
    lambda rng: messages.encode(_without(["q", "target", "ask"][rng.integers(3)])),
    lambda rng: messages.encode({**ACT, "extra" + str(rng.integers(9)): 1}),
    lambda rng: messages.encode({**ACT, "ask": "reset"}),  # with fields that a reset has not
    lambda rng: b"\x91" * int(rng.integers(1, 8000)),
    lambda rng: bytes([rng.choice([0xDC, 0xDD, 0xDE, 0xDF, 0xC6, 0xC9, 0xDB])]) + b"\xff" * int(rng.integers(2, 9)),
    lambda rng: pickle.dumps(ACT, protocol=int(rng.integers(6))),
]


def _without(name):
    return {key: value for key, value in ACT.items() if key != name}


def _array(rng):
    return ["q", "target", "command"][rng.integers(3)]


def _poisoned(rng):
    values = MIDDLE.tolist()
    values[rng.integers(len(values))] = [None, "0", True, [0.0]][rng.integers(4)]
    return values


@pytest.mark.parametrize("rounds", [25, pytest.param(250, marks=pytest.mark.slow)])
def test_a_thousand_malformed_messages_reach_no_hand_and_a_good_client_is_served_on(rounds, serve, sessions):
    server, rng = serve(token=TOKEN), np.random.default_rng(0)
    with zmq.Context() as context, context.socket(zmq.DEALER) as evil, Client(server.address, TOKEN, 120.0) as good:
        evil.connect(server.address)
        hello = {**ACT, "token": TOKEN, "ask": "reset"}
        evil.send(messages.encode({name: hello[name] for name in ("version", "id", "token", "ask", "q", "target")}))
        assert messages.decode(evil.recv())["ok"]  # it has a session and the token: only its messages are wrong
        good.reset(MIDDLE)
        evil.setsockopt(zmq.RCVTIMEO, 120_000)
        kinds = itertools.cycle(MALFORMED)
        for count in range(1, rounds + 1):
            for make in itertools.islice(kinds, 40):  # far fewer than may wait for one client
                payload = make(rng)
                if rng.random() < 0.5:
                    payload = _with(payload, TOKEN if rng.random() < 0.8 else "a wrong token entirely")
                evil.send(payload)
            for _ in range(40):
                reply = messages.decode(evil.recv())
                assert reply["ok"] is False and reply["error"] and "target" not in reply
            target, _ = good.act(MIDDLE, MIDDLE)
            np.testing.assert_array_equal(target, MIDDLE + np.float32(0.001) * count)
        assert good.statistics() | {"act": 0} == {"act": 0, "clients": 2, "refused": 40 * rounds, "failed": 0}
    theirs, ours = sessions
    assert not theirs.acts and len(theirs.resets) == 1 and len(ours.acts) == rounds


def _with(payload, token):
    """The message with a token, or as it is if nothing can be put into it."""
    try:
        return messages.encode({**messages.decode(payload), "token": token})
    except ValueError:
        return payload


def test_too_long_too_many_parts_and_no_zeromq_at_all(serve, sessions):
    server = serve()
    host, port = server.address.removeprefix("tcp://").split(":")
    with Client(server.address) as good, zmq.Context() as context:
        good.reset(MIDDLE)
        for parts in ([b"x" * (messages.LARGEST + 1)], [b"x", messages.encode(ACT)], [b""] * 5):
            with context.socket(zmq.DEALER) as evil:
                evil.setsockopt(zmq.LINGER, 0)
                evil.connect(server.address)
                evil.send_multipart(parts)
                assert not evil.poll(100)
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, pickle.dumps(ACT)):
            with socket.create_connection((host, int(port))) as raw:
                raw.sendall(noise)
        np.testing.assert_array_equal(good.act(MIDDLE, MIDDLE)[0], MIDDLE + np.float32(0.001))
    assert len(sessions) == 1


def test_a_client_that_never_reads_costs_nobody_anything(serve):
    server = serve()
    with zmq.Context() as context, context.socket(zmq.DEALER) as deaf, Client(server.address, timeout_s=120) as good:
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.connect(server.address)
        good.reset(MIDDLE)
        for _ in range(2000):
            deaf.send(b"nonsense")
        assert good.act(MIDDLE, MIDDLE)[0].shape == MIDDLE.shape  # within the time limit


def test_a_client_gives_up_in_time_and_drops_the_late_answer(serve, sessions):
    with Client(serve().address, timeout_s=120) as client:
        client.reset(MIDDLE)
        slow, prompt = threading.Event(), sessions[0].act

        def act(*readings, **how):
            slow.wait(120)
            return prompt(*readings, **how)

        sessions[0].act = act
        client.timeout_s = 0.05
        with pytest.raises(TimeoutError, match="no answer from tcp://.* within 0.05 s: is the server running?"):
            client.act(MIDDLE, MIDDLE)
        slow.set()
        client.timeout_s = 120
        target, _ = client.act(MIDDLE, MIDDLE)  # the second answer, not the first one that came late
        np.testing.assert_array_equal(target, MIDDLE + np.float32(0.002))


def test_what_is_not_said_is_left_to_the_controller(serve, sessions):
    with Client(serve().address) as client:
        client.reset(MIDDLE)
        client.act(MIDDLE, MIDDLE, MIDDLE)
        client.act(MIDDLE, MIDDLE, MIDDLE, released=True, mode="free_motion")
        with pytest.raises(ValueError, match="unknown field 'strenght'; a request of this kind has .*, strength"):
            client.act(MIDDLE, MIDDLE, strenght=0.1)
    kind = {"kind": "joints"}
    assert [how for _, _, _, how in sessions[0].acts] == [kind, kind | {"released": True, "mode": "free_motion"}]


def test_nobody_there():
    with (
        Client("tcp://127.0.0.1:9", timeout_s=0.05) as client,
        pytest.raises(TimeoutError, match="is the server running"),
    ):
        client.describe()


@pytest.mark.parametrize(
    "address, local",
    [
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.9.9.9:*", True),
        ("tcp://[::1]:5555", True),
        ("tcp://localhost:5555", True),
        ("ipc:///tmp/dexgen", True),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://*:5555", False),
        ("tcp://192.168.1.7:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://localhost.evil.org:5555", False),
        ("tcp://127.0.0.1.evil.org:5555", False),
    ],
)
def test_other_machines_need_a_token(address, local):
    assert is_local(address) is local
    if not local:
        with pytest.raises(ValueError, match="can be reached from other machines: set a token"):
            Server({}, CountingSession, address)


def test_errors_name_the_limit():
    with pytest.raises(ValueError, match="the token has 5 characters, and 16 is the least"):
        Server({}, CountingSession, token="12345")
    with pytest.raises(ValueError, match="room for at least 1 client, got max_clients=0"):
        Server({}, CountingSession, max_clients=0)
    with pytest.raises(ValueError, match="an address is tcp://HOST:PORT or ipc://FILE, got '5555'"):
        Server({}, CountingSession, "5555")
    server = Server({}, CountingSession, "tcp://127.0.0.1:*")
    with pytest.raises(OSError, match=f"cannot listen on {server.address}: Address already in use"):
        Server({}, CountingSession, server.address)
    server.close()
