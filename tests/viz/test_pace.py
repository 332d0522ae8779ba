"""A clock of the test's own, but for the last."""

import pytest

from dexgen_jax.viz.pace import Pace, keep


def run(pace, until, every=0.01, speed=1.0, start=0.0):
    """When steps were due, asked every so many seconds."""
    count = round((until - start) / every)
    return [start + i * every for i in range(count) if pace.due(start + i * every, speed)]


def test_ten_steps_a_second_and_fewer_in_slow_motion():
    assert len(run(Pace(0.1), 3.0)) == 30
    assert len(run(Pace(0.1), 3.0, speed=0.25)) == 8  # at 0, 0.4, ... 2.8


def test_lost_time_is_left_out_and_counted():
    pace = Pace(0.1)
    assert pace.due(0.0) and not pace.due(0.05)
    assert pace.due(0.38)  # due at 0.1: two are left out, and this one is 0.08 late
    assert not pace.due(0.39) and pace.due(0.401)
    assert (pace.steps, pace.late) == (3, 3) and pace.late_share == 1.0


def test_back_from_slow_motion_the_next_step_is_not_waited_for():
    pace = Pace(0.1)
    assert pace.due(0.0, speed=0.05)  # the next at 2.0
    assert not pace.due(0.1, speed=1.0) and pace.due(0.2, speed=1.0)


def test_pictures_in_between_know_how_far_the_time_is():
    pace = Pace(0.1)
    pace.due(0.0)
    assert pace.share_elapsed(0.025) == pytest.approx(0.25)
    assert (pace.share_elapsed(0.1), pace.share_elapsed(0.5)) == (1.0, 1.0)
    assert pace.wait(0.03) == pytest.approx(0.07)


@pytest.mark.parametrize("speed", [0.0, -1.0, 2.0, float("nan")])
def test_an_impossible_speed_is_refused(speed):
    with pytest.raises(ValueError, match="speed must be above 0 and at most 1"):
        Pace(0.1).due(0.0, speed)


def test_the_pace_is_kept_until_it_is_enough():
    pace, lived = Pace(0.001), []
    keep(pace, lambda: lived.append(pace.steps), lambda: len(lived) == 5)
    assert lived == [1, 2, 3, 4, 5]
