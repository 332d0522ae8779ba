import jax
import numpy as np
import pytest

from dexgen_jax.experts import advantages as gae

generalized_advantages = jax.jit(gae.generalized_advantages)

REWARDS = np.float32([1.0, 2.0, 3.0, 4.0])
VALUES = np.float32([0.5, 1.0, -1.0, 2.0])
NEXT = np.float32([1.0, -1.0, 2.0, 3.0])
NONE = np.zeros(4, np.float32)


def _at(step):
    return np.eye(4, dtype=np.float32)[step]


def test_a_line_without_an_end_by_hand():
    # discount 0.9, gae_lambda 0.5. delta = r + 0.9 V' - V = [1.4, 0.1, 5.8, 4.7];
    # A3 = 4.7, A2 = 5.8 + 0.45 A3 = 7.915, A1 = 0.1 + 0.45 A2 = 3.66175, A0 = 1.4 + 0.45 A1 = 3.0477875.
    advantages, targets = generalized_advantages(REWARDS, VALUES, NEXT, NONE, NONE, 0.9, 0.5)
    np.testing.assert_allclose(advantages, [3.0477875, 3.66175, 7.915, 4.7], rtol=1e-6)
    np.testing.assert_allclose(targets, advantages + VALUES, rtol=1e-6)


def test_a_termination_is_worth_nothing_after_it_and_a_truncation_its_next_state():
    # Ended at step 1: delta1 = 2 - 1 = 1 without the next value, 0.1 with it. Nothing comes back from step 2.
    ended, _ = generalized_advantages(REWARDS, VALUES, NEXT, _at(1), NONE, 0.9, 0.5)
    cut, _ = generalized_advantages(REWARDS, VALUES, NEXT, NONE, _at(1), 0.9, 0.5)
    np.testing.assert_allclose(ended[:2], [1.4 + 0.45 * 1.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(cut[:2], [1.4 + 0.45 * 0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(ended[2:], cut[2:])


@pytest.mark.parametrize("ends", [(_at(1), NONE), (NONE, _at(1))], ids=["termination", "truncation"])
def test_what_comes_after_an_end_does_not_reach_back(ends):
    loud = np.where(np.arange(4) < 2, REWARDS, np.float32(1e6))
    quiet, _ = generalized_advantages(REWARDS, VALUES, NEXT, *ends, 0.9, 0.5)
    other, _ = generalized_advantages(loud, VALUES, NEXT, *ends, 0.9, 0.5)
    np.testing.assert_array_equal(quiet[:2], other[:2])


def test_with_a_full_trace_and_true_values_advantages_are_zero():
    # V(s_t) = sum of the discounted rewards to come, ended at the last step.
    values = [0.0]
    for reward in REWARDS[::-1]:
        values.insert(0, float(reward) + 0.9 * values[0])
    true, after = np.float32(values[:-1]), np.float32(values[1:])
    advantages, targets = generalized_advantages(REWARDS, true, after, _at(3), NONE, 0.9, 1.0)
    np.testing.assert_allclose(advantages, 0, atol=1e-5)
    np.testing.assert_allclose(targets, true, rtol=1e-5)


def test_lines_of_different_length_are_refused():
    with pytest.raises(AssertionError):
        generalized_advantages(REWARDS, VALUES[:3], NEXT, NONE, NONE, 0.9, 0.5)
