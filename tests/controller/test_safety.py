import functools

import jax
import numpy as np
import pytest

from dexgen_jax.controller import commands, safety
from dexgen_jax.controller.safety import Event, Limits
from dexgen_jax.hand import allegro

HAND, LIMITS = allegro.load(), Limits()
N, K = HAND.num_joints, HAND.num_keypoints
MIDDLE = np.float32((HAND.lower + HAND.upper) / 2)
COMMAND = commands.Command(np.full((K, 3), 0.01, np.float32), np.ones(K, np.float32), MIDDLE)
NOT_FINITE = (np.nan, np.inf, -np.inf)


def _put(numbers, place, value):
    numbers = numbers.copy()
    numbers[place] = value
    return numbers


@jax.jit
def _reading(q, target, age=0.0):
    return safety.check_reading(HAND, LIMITS, q, target, age)


@jax.jit
def _command(command, alpha=1.0):
    return safety.check_command(HAND, LIMITS, command, alpha)


@jax.jit
def _action(wanted, target=MIDDLE, held=MIDDLE, events=0):
    return safety.check_action(HAND, LIMITS, wanted, target, held, events)


def test_a_good_tick_changes_nothing_and_says_nothing():
    assert _reading(MIDDLE, MIDDLE) == 0
    command, alpha, events = _command(COMMAND)
    jax.tree.map(np.testing.assert_array_equal, command, COMMAND)
    assert (alpha, events) == (1.0, 0)
    wanted = MIDDLE + 0.1
    action, events = _action(wanted)
    np.testing.assert_array_equal(action, wanted)
    assert events == 0


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("joint", [0, N - 1])
def test_a_reading_that_is_not_finite_is_bad(value, joint):
    broken = _put(MIDDLE, joint, value)
    assert _reading(broken, MIDDLE) == Event.BAD_READING
    assert _reading(MIDDLE, broken) == Event.BAD_READING


def test_a_reading_may_overshoot_the_limits_but_not_by_far():
    upper, lower = np.float32(HAND.upper), np.float32(HAND.lower)
    for sign, border in ((1, upper), (-1, lower)):
        assert _reading(border + sign * 0.29, MIDDLE) == 0
        assert _reading(_put(MIDDLE, 3, border[3] + sign * 0.31), MIDDLE) == Event.BAD_READING


@pytest.mark.parametrize("age", [0.0, 0.1, -0.002, -0.1])
def test_a_reading_may_be_one_period_old_and_clocks_may_differ_by_as_much(age):
    assert _reading(MIDDLE, MIDDLE, np.float32(age)) == 0


@pytest.mark.parametrize("age", [0.11, -0.11, -3600.0, np.nan, np.inf, -np.inf])
def test_an_older_reading_is_late_and_one_from_the_future_too(age):
    assert _reading(MIDDLE, MIDDLE, np.float32(age)) == Event.LATE


def test_what_is_held_is_in_force_or_the_last_that_was_let_out():
    upper, safe = np.float32(HAND.upper), MIDDLE - np.float32(0.01)
    held = jax.jit(lambda target: safety.in_force(HAND, LIMITS, target, safe))
    np.testing.assert_array_equal(held(MIDDLE + 0.02), MIDDLE + 0.02)
    np.testing.assert_array_equal(held(upper + 0.2), upper)
    for bad in (_put(MIDDLE, 3, np.nan), upper + 0.4):
        np.testing.assert_array_equal(held(bad), safe)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_command_that_is_not_finite_is_not_heard_at_all(value):
    for broken in (
        COMMAND.replace(offsets=_put(COMMAND.offsets, (2, 1), value)),
        COMMAND.replace(weight=_put(COMMAND.weight, 7, value)),
    ):
        command, alpha, events = _command(broken)
        assert events == Event.COMMAND_REFUSED and alpha == 0
        assert not np.any(command.offsets) and not np.any(command.weight)


@pytest.mark.parametrize("alpha", [np.nan, -1.0])
def test_a_strength_that_is_none_is_zero(alpha):
    _, heard, events = _command(COMMAND, np.float32(alpha))
    assert heard == 0 and events == Event.COMMAND_REFUSED


def test_endless_strength_is_a_strength():
    _, heard, events = _command(COMMAND, np.inf)
    assert heard == np.inf and events == 0


def test_a_command_out_of_reach_keeps_its_direction():
    # (0.3, 0.4, 0) m is 0.5 m long; within the reach of 0.1 m that is (0.06, 0.08, 0).
    far = COMMAND.replace(offsets=_put(COMMAND.offsets, 1, [0.3, 0.4, 0.0]))
    command, alpha, events = _command(far)
    np.testing.assert_allclose(np.asarray(command.offsets)[1], [0.06, 0.08, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(command.offsets)[2:], far.offsets[2:])
    assert events == Event.COMMAND_CLIPPED and alpha == 1


def test_weights_are_shares():
    command, *_ = _command(COMMAND.replace(weight=np.linspace(-1, 2, K, dtype=np.float32)))
    np.testing.assert_allclose(command.weight, np.clip(np.linspace(-1, 2, K), 0, 1), atol=1e-6)


def test_the_action_keeps_the_limits_and_the_largest_step():
    random = np.random.default_rng(0)
    wanted = np.float32(MIDDLE + random.uniform(-3, 3, (200, N)))
    target = np.float32(random.uniform(HAND.lower - 0.2, HAND.upper + 0.2, (200, N)))
    action, events = jax.jit(jax.vmap(lambda wanted, target: _action(wanted, target)))(wanted, target)
    action = np.asarray(action)
    assert (action >= HAND.lower - 1e-6).all() and (action <= HAND.upper + 1e-6).all()
    base = np.clip(target, HAND.lower, HAND.upper)
    assert np.abs(action - base).max() <= LIMITS.max_step + 1e-6
    assert np.all(np.asarray(events) == Event.ACTION_CLIPPED)
    # What could be given is given: the nearest target within both.
    nearest = np.clip(np.clip(wanted, base - LIMITS.max_step, base + LIMITS.max_step), HAND.lower, HAND.upper)
    np.testing.assert_allclose(action, nearest, atol=1e-6)


@pytest.mark.parametrize("event", [Event.BAD_READING, Event.LATE])
def test_when_something_is_wrong_the_action_is_what_is_to_be_held(event):
    action, events = _action(MIDDLE + 0.1, MIDDLE * np.nan, MIDDLE - 0.01, np.int32(event))
    np.testing.assert_array_equal(action, MIDDLE - np.float32(0.01))
    assert events == event


def test_a_refused_command_does_not_stop_the_hand():
    action, events = _action(MIDDLE + 0.1, events=np.int32(Event.COMMAND_REFUSED))
    np.testing.assert_array_equal(action, MIDDLE + np.float32(0.1))
    assert events == Event.COMMAND_REFUSED


@pytest.mark.parametrize("value", NOT_FINITE)
def test_an_action_that_is_not_finite_is_not_let_out(value):
    action, events = _action(_put(MIDDLE, 5, value), held=MIDDLE - 0.01)
    np.testing.assert_array_equal(action, MIDDLE - np.float32(0.01))
    assert events == Event.BAD_ACTION


def test_the_default_reach_is_what_a_finger_can_do_in_the_horizon():
    """By the keypoints' Jacobian: all joints of a finger at the largest step, two ticks, over random postures."""
    from dexgen_jax.hand import kinematics

    q = np.float32(np.random.default_rng(0).uniform(HAND.lower, HAND.upper, (256, N)))
    _, jacobian = jax.jit(jax.vmap(functools.partial(kinematics.keypoints_and_jacobian, HAND)))(q)
    furthest = 2 * LIMITS.max_step * np.linalg.norm(jacobian, axis=2).sum(-1).max()
    assert 0.8 < furthest / LIMITS.reach < 1.2


def test_errors_name_the_limit():
    with pytest.raises(ValueError, match="limit max_step must be above zero and finite, got 0"):
        Limits(max_step=0)
    with pytest.raises(ValueError, match="limit max_age must be above zero and finite, got nan"):
        Limits(max_age=float("nan"))
