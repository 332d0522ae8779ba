import time

import numpy as np
import pytest

from dexgen_jax.deploy import loop

START = np.array([0.1, 0.2])


class FakeClock:
    """Time passes only where someone says so; sleeping oversleeps by `lateness`."""

    def __init__(self, lateness=0.0):
        self.time, self.lateness = 100.0, lateness

    def now(self):
        return self.time

    def sleep_until(self, moment):
        self.time = max(self.time, moment + self.lateness)


class FakeRobot:
    """Every call takes its time; `readings` are given out in turn, the last one for ever."""

    def __init__(self, clock, readings=(START,), reading_time=0.0):
        self.clock, self.readings, self.reading_time = clock, list(readings), reading_time
        self.set, self.moments = [], []

    def read_joints(self):
        self.clock.time += self.reading_time
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def set_targets(self, target):
        self.set.append(np.array(target))
        self.moments.append(self.clock.time)


def deciding(clock, seconds):
    """A decision that takes `seconds[i]` at call i, the last for ever, and asks for one more each time."""
    calls = iter(range(10**6))

    def decide(q, target):
        clock.time += seconds[min(next(calls), len(seconds) - 1)]
        return target + 1

    return decide


def run(clock, robot, decide, rate_hz=10, ticks=5, **settings):
    return loop.run(robot, decide, START, rate_hz, ticks, clock=clock, **settings)


def test_ticks_keep_the_rate_and_do_not_drift():
    clock = FakeClock(lateness=0.003)
    robot = FakeRobot(clock)
    account = run(clock, robot, deciding(clock, [0.02]), ticks=50)
    np.testing.assert_allclose(robot.moments, 100 + 0.1 * np.arange(50) + 0.023)
    assert account.summary() | {"wake": 0, "tick": 0} == {
        "rate_hz": 10, "ticks": 50, "missed": 0, "skipped": 0, "missed_share": 0.0, "held": {}, "wake": 0, "tick": 0,
    }  # fmt: skip
    assert account.wake.worst == pytest.approx(0.003) and account.tick.worst == pytest.approx(0.023)


def test_a_long_tick_is_missed_and_what_it_ran_over_is_skipped():
    # 10 Hz. Tick 0 is quick; tick 1, due at 0.1 s, takes 0.25 s and ends at 0.35 s, past its deadline of 0.2 s. Ticks 2
    # and 3, due at 0.2 and 0.3 s, are skipped; tick 4 at 0.4 s is on time again.
    clock = FakeClock()
    robot = FakeRobot(clock)
    account = run(clock, robot, deciding(clock, [0.01, 0.25, 0.01]), ticks=10)
    np.testing.assert_allclose(robot.moments[:4], 100 + np.array([0.01, 0.35, 0.41, 0.51]))
    assert (account.ticks, account.missed, account.skipped) == (8, 1, 2)
    assert account.summary()["missed_share"] == pytest.approx(3 / 10)


def test_a_tick_a_little_over_its_deadline_starts_the_next_one_whose_time_has_not_passed():
    # Tick 0 ends at 0.101 s, after tick 1 was due: tick 1 is skipped, tick 2 is on time.
    clock = FakeClock()
    robot = FakeRobot(clock)
    account = run(clock, robot, deciding(clock, [0.101, 0.01]), ticks=3)
    np.testing.assert_allclose(robot.moments, [100.101, 100.21])
    assert (account.ticks, account.missed, account.skipped) == (2, 1, 1)


def test_ticks_and_skips_make_up_the_periods_asked_for():
    clock = FakeClock()
    account = run(clock, FakeRobot(clock), deciding(clock, [0.35]), ticks=10)
    assert account.ticks + account.skipped == 10


@pytest.mark.parametrize(
    "reading, reason",
    [
        (None, loop.NO_READING),
        (np.array([0.0, np.nan]), loop.BAD_READING),
        (np.array([np.inf, 0.0]), loop.BAD_READING),
    ],
)
def test_without_a_sound_reading_the_last_target_is_held(reading, reason):
    clock = FakeClock()
    robot = FakeRobot(clock, [START, reading, START])
    account = run(clock, robot, deciding(clock, [0.0]), ticks=3)
    np.testing.assert_array_equal(robot.set, [START + 1, START + 1, START + 2])
    assert account.summary()["held"] == {reason: 1}


def test_a_reading_that_comes_too_late_is_not_acted_on():
    clock = FakeClock()
    robot = FakeRobot(clock, reading_time=0.06)
    account = run(clock, robot, deciding(clock, [0.0]), ticks=3)
    np.testing.assert_array_equal(robot.set, [START] * 3)
    assert account.held[loop.LATE_READING] == 3
    robot = FakeRobot(clock, reading_time=0.06)
    assert run(clock, robot, deciding(clock, [0.0]), ticks=3, patience=0.7).summary()["held"] == {}


@pytest.mark.parametrize(
    "decision, reason",
    [
        (np.array([0.0, np.nan]), loop.BAD_DECISION),
        (np.zeros(3), loop.BAD_DECISION),
        (TimeoutError("no answer"), loop.NO_DECISION),
    ],
)
def test_without_a_sound_decision_the_last_target_is_held(decision, reason):
    def decide(q, target):
        if isinstance(decision, Exception):
            raise decision
        return decision

    clock = FakeClock()
    robot = FakeRobot(clock)
    account = run(clock, robot, decide, ticks=2)
    np.testing.assert_array_equal(robot.set, [START, START])
    assert account.summary()["held"] == {reason: 2}


def test_a_decision_that_comes_after_the_deadline_is_held_and_counted():
    # 10 Hz. Tick 0 decides in 350 ms, which is of a hand of 350 ms ago; tick 4, at 0.4 s, goes on.
    clock = FakeClock()
    robot = FakeRobot(clock)
    account = run(clock, robot, deciding(clock, [0.35, 0.01]), ticks=5)
    np.testing.assert_array_equal(robot.set, [START, START + 1])
    assert account.summary()["held"] == {loop.NO_DECISION: 1} and (account.missed, account.skipped) == (1, 3)


def test_it_stops_when_it_is_told_to():
    clock = FakeClock()
    robot = FakeRobot(clock)
    account = run(clock, robot, deciding(clock, [0.0]), ticks=float("inf"), stop=lambda: len(robot.set) >= 4)
    assert account.ticks == 4


def test_the_wall_clock_keeps_the_rate_too():
    robot, begin = FakeRobot(FakeClock()), time.monotonic()
    account = loop.run(robot, lambda q, target: target, START, rate_hz=100, ticks=20)
    # How late it wakes is up to the machine.
    assert account.ticks + account.skipped == 20 and time.monotonic() - begin > 0.18


@pytest.mark.parametrize("rate", [0, -10, float("nan"), 1001])
def test_a_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(ValueError, match=f"above 0 and at most 1000 Hz, got {rate}"):
        loop.run(FakeRobot(FakeClock()), None, START, rate)
