"""What a device says, right and wrong: numbers that are wrong hold the hand, faults of a program touch nothing."""

import socket
import threading
import types

import numpy as np
import pytest
import zmq
from snippets import ROOT, python_blocks

from dexgen_jax.deploy import messages
from dexgen_jax.deploy.calibration import Calibration
from dexgen_jax.deploy.device import Device
from dexgen_jax.deploy.stream import IDLE, Stream
from dexgen_jax.hand import allegro

OPEN = np.array([[0, 0.03, 0.09], [0, 0, 0.1], [0, -0.02, 0.09], [0.1, 0.07, -0.08]])
TOKEN = "a secret of some length"


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def stream():
    heard = Stream(allegro.load(), "tcp://127.0.0.1:*", clock=Clock())
    heard.follow(Calibration(np.full(4, 2.0), np.zeros((4, 3))))
    yield heard
    heard.close()


def say(stream, tips=OPEN, device=b"glove", **other):
    message = {"version": messages.VERSION, "id": 7, "ask": "tips", "hand": "allegro", "tips": tips, **other}
    return stream.answer(device, messages.encode(message))


def test_what_is_said_is_followed_in_the_hands_own_measure(stream):
    with pytest.raises(TimeoutError, match="no device has spoken yet"):
        stream.command()
    reply = say(stream)
    assert reply == {
        "version": messages.VERSION, "id": 7, "ok": True, "heard": 1, "events": [], "pose": "", "acted": None,
    }  # fmt: skip
    np.testing.assert_allclose(stream.command(), 2 * OPEN, atol=1e-6)
    stream.follow(None)
    with pytest.raises(TimeoutError, match="the device is not calibrated yet"):
        stream.command()


def test_a_calibration_that_is_taken_away_meanwhile_holds_the_hand(stream, monkeypatch):
    class Meanwhile:
        """Another thread had the lock just before, and took the calibration away."""

        def __enter__(self):
            stream._calibration = None

        def __exit__(self, *_):
            pass

    say(stream)
    monkeypatch.setattr(stream, "_lock", Meanwhile())
    with pytest.raises(TimeoutError, match="the device is not calibrated yet"):
        stream.command()


@pytest.mark.parametrize(
    "tips, age, event, why",
    [
        (np.where(np.arange(4)[:, None] == 3, np.nan, OPEN), 0.0, "COMMAND_REFUSED", "position of th is not a number"),
        (OPEN * [1, 1, np.inf], 0.0, "COMMAND_REFUSED", "position of ff is not a number"),
        (1000 * OPEN, 0.0, "COMMAND_REFUSED", "position of ff is 94.9 m from the palm"),
        (1e41 * OPEN, 0.0, "COMMAND_REFUSED", "position of ff is not a number"),  # beyond 32 bits
        (OPEN + [0, 0, -0.15], 0.0, "COMMAND_REFUSED", "the device's .* jumped by 15 cm"),
        (OPEN, 0.5, "LATE", "reading was 0.5 s old, and 0.2 s is the most"),
        (OPEN, -0.5, "LATE", "reading was -0.5 s old"),
        (OPEN, float("nan"), "LATE", "reading was nan s old"),
    ],
)
def test_wrong_numbers_hold_the_hand_until_the_next_right_ones(stream, tips, age, event, why):
    say(stream)
    stream._clock.now += 0.01
    reply = say(stream, tips, age=age)
    assert reply["ok"] and reply["events"] == [event] and reply["heard"] == 1
    with pytest.raises(TimeoutError, match=why):
        stream.command()
    stream._clock.now += 0.01
    if "jumped" in why:  # a tracker that stays there is believed from then on
        assert say(stream, tips)["events"] == []
        np.testing.assert_allclose(stream.command(), 2 * tips, atol=1e-6)
    else:
        assert say(stream, OPEN + 0.01)["events"] == []
        np.testing.assert_allclose(stream.command(), 2 * (OPEN + 0.01), atol=1e-6)


def test_a_finger_may_move_as_fast_as_fingers_do(stream):
    say(stream)
    for step in range(1, 8):
        stream._clock.now += 1 / 60
        assert say(stream, OPEN - [0, 0, 0.04 * step])["events"] == []  # 2.4 m/s
    stream._clock.now += 5.0  # away for a while, and elsewhere
    assert say(stream, OPEN)["events"] == []


def test_a_stream_that_stops_is_held_and_goes_on(stream):
    say(stream)
    stream._clock.now += 0.19
    stream.command()
    stream._clock.now += 0.02
    with pytest.raises(TimeoutError, match="the device has said nothing sound for more than 0.2 s$"):
        stream.command()
    say(stream, OPEN + 0.02)
    np.testing.assert_allclose(stream.command(), 2 * (OPEN + 0.02), atol=1e-6)


@pytest.mark.parametrize(
    "other, words",
    [
        ({"tips": np.zeros((5, 3))}, "tips must be 4 x 3 numbers, got a list of 5 where 4 belong"),
        ({"tips": OPEN[:, :2]}, "tips must be 4 x 3 numbers, got a list of 2 where 3 belong"),
        ({"tips": "open"}, "tips must be 4 x 3 numbers, got a str"),
        ({"hand": "leap"}, "hand must be one of allegro, got 'leap'"),
        ({"hand": None}, "hand must be one of allegro, got None"),
        ({"age": "old"}, "age must hold numbers, got 'old'"),
        ({"joints": 1}, "unknown field 'joints'"),
        ({"ask": "act"}, "ask must be one of describe, tips, leave, statistics, got 'act'"),
        ({"version": 1}, "speaks version 3 of the messages, got 1"),
    ],
)
def test_faults_of_a_program_are_refused_and_touch_nothing(stream, other, words):
    say(stream)
    reply = say(stream, **{"tips": OPEN} | other)
    assert not reply["ok"] and words in reply["error"]
    np.testing.assert_allclose(stream.command(), 2 * OPEN, atol=1e-6)
    stream._clock.now += 0.3
    with pytest.raises(TimeoutError) as held:
        stream.command()
    assert f"refused: {reply['error']}" in str(held.value) and "\n" not in str(held.value)
    assert stream.statistics()["refused"] == 1


def test_one_device_at_a_time(stream):
    say(stream)
    assert "another device has the hand; it is free after 2 s" in say(stream, device=b"tracker")["error"]
    stream.answer(b"glove", messages.encode({"version": messages.VERSION, "ask": "leave"}))
    with pytest.raises(TimeoutError, match="the device has left"):
        stream.command()
    assert say(stream, OPEN - 0.09, device=b"tracker")["events"] == []  # no jump: another hand
    stream._clock.now += IDLE
    assert say(stream, device=b"glove")["ok"]


def test_how_long_messages_wait_for_the_hand(stream):
    for at in (0.0, 0.02, 0.05):
        stream._clock.now = 100 + at
        say(stream)
    stream._clock.now = 100.08
    stream.command()
    stream._clock.now = 100.1
    stream.done()
    stream.done()  # a step that followed nothing new
    waited = stream.statistics()["moved"]
    assert waited["count"] == 3 and waited["worst_ms"] == pytest.approx(100)
    assert say(stream)["acted"] == {"heard": 3, "after": pytest.approx(0.05)}


class Hand:
    """A robot whose joints are where they were told to be, and a helper that brings the tips where they are wanted."""

    model = types.SimpleNamespace(hand=allegro.load())

    def __init__(self):
        self.q, self.asked = np.float32(self.model.hand.prior.joint_mean), []

    def read_joints(self):
        return self.q

    def targets(self):
        return self.q

    def set_targets(self, target):
        self.q = target

    def reset(self, q, target=None):
        pass

    def act(self, q, target, command, kind):
        self.asked.append((command, kind))
        return q + np.float32(0.001), None


def test_the_loop_that_the_page_shows_follows_a_device_and_holds_when_it_leaves():
    there = {}
    exec(python_blocks(ROOT / "docs" / "teleoperation.md")[2], there)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    robot, accounts = Hand(), []
    calibrated = Calibration(np.ones(4), np.zeros((4, 3)))
    run = lambda: accounts.append(there["teleoperate"](robot, robot, calibrated, 20, address))
    loop = threading.Thread(target=run, daemon=True)
    loop.start()
    with Device(address, None, 60) as device:
        while not robot.asked:
            device.tell("allegro", OPEN)
    loop.join(60)
    held = accounts[0].summary()["held"]
    assert held["no decision in time"] >= 1 and robot.asked[0][1] == "tip_positions"
    np.testing.assert_allclose(robot.asked[0][0], OPEN, atol=1e-6)
    start = Hand.model.hand.prior.joint_mean
    np.testing.assert_allclose(robot.q, start + 0.001 * len(robot.asked), atol=1e-5)  # moved when asked, and else held


def test_a_device_by_the_wire_with_a_token():
    with pytest.raises(ValueError, match="can be reached from other machines: set a token"):
        Stream(allegro.load(), "tcp://0.0.0.0:*")
    stream, over = Stream(allegro.load(), "tcp://127.0.0.1:*", TOKEN), threading.Event()
    thread = threading.Thread(target=stream.serve, args=(over.is_set,))
    thread.start()
    try:
        with Device(stream.address, TOKEN, 60) as device, Device(stream.address, None, 60) as stranger:
            assert device.describe()["fingers"] == ["ff", "mf", "rf", "th"]
            stream.pose = "open"
            assert device.tell("allegro", OPEN)["pose"] == "open"
            assert device.tell("allegro", np.full((4, 3), np.nan))["events"] == ["COMMAND_REFUSED"]
            for wrong, words in ((OPEN[:3], "4 x 3 numbers"), ("open", "tips must hold numbers")):
                with pytest.raises(ValueError, match=words):
                    device.tell("allegro", wrong)
            with pytest.raises(ValueError, match="the token is missing or wrong"):
                stranger.tell("allegro", OPEN)
            np.testing.assert_allclose(stream.readings(), OPEN[None], atol=1e-6)
    finally:
        over.set()
        thread.join(60)
        stream.close()
    with zmq.Context() as context, context.socket(zmq.DEALER) as nobody:
        nobody.setsockopt(zmq.LINGER, 0)  # the address is free again
        nobody.bind(stream.address)
