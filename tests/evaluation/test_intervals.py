import numpy as np
import pytest
from scipy import stats

from dexgen_jax.evaluation import intervals


def test_the_exact_poisson_interval_of_ten_and_of_five():
    # Garwood's table: 10 events have [4.795, 18.390], 5 events [1.623, 11.668].
    ten, five = intervals.rate(10, 1.0), intervals.rate(5, 2.0)
    np.testing.assert_allclose([ten.value, ten.low, ten.high], [10, 4.795, 18.390], atol=1e-3)
    np.testing.assert_allclose([five.value, five.low, five.high], [2.5, 1.623 / 2, 11.668 / 2], atol=1e-3)


def test_no_event_still_bounds_the_rate():
    # P(no event) = exp(-m) = 0.025 at m = 3.689.
    none = intervals.rate(0, 100.0)
    assert (none.value, none.low) == (0, 0)
    np.testing.assert_allclose(none.high, 0.03689, atol=1e-5)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    bounds = [intervals.rate(int(k), 1.0) for k in range(40)]
    hits = np.mean([bounds[k].low <= 6.3 <= bounds[k].high for k in rng.poisson(6.3, 4000)])
    assert 0.95 <= hits <= 0.99  # exact intervals cover at least as often as they promise


def test_hold_time_is_the_inverse_of_the_drop_rate():
    held = intervals.hold_time(10, 100.0)
    np.testing.assert_allclose([held.value, held.low, held.high], [10, 100 / 18.390, 100 / 4.795], rtol=1e-3)
    forever = intervals.hold_time(0, 100.0)
    assert forever.value == forever.high == np.inf
    np.testing.assert_allclose(forever.low, 100 / 3.689, rtol=1e-3)


def test_the_ratio_of_hold_times_by_hand():
    # 5 drops against 10 in equal times: p = 10 / 15, Clopper-Pearson [0.3838, 0.8818], odds [0.623, 7.46], middle 2.
    ratio = intervals.hold_time_ratio(5, 60.0, 10, 60.0)
    np.testing.assert_allclose([ratio.value, ratio.low, ratio.high], [2, 0.6229, 7.460], rtol=2e-3)
    # The same counts in twice the time are a ratio twice as large.
    twice = intervals.hold_time_ratio(5, 120.0, 10, 60.0)
    np.testing.assert_allclose([twice.value, twice.low, twice.high], [4, 1.2458, 14.92], rtol=2e-3)


def test_the_ratio_turned_round_is_the_inverse():
    one, other = intervals.hold_time_ratio(7, 50.0, 30, 80.0), intervals.hold_time_ratio(30, 80.0, 7, 50.0)
    np.testing.assert_allclose([one.value, one.low, one.high], [1 / other.value, 1 / other.high, 1 / other.low])


def test_no_drop_with_help_bounds_the_ratio_from_below():
    # All 10 of 10 are the reference's: p >= 0.025^(1/10) = 0.6915, odds 2.24.
    ratio = intervals.hold_time_ratio(0, 60.0, 10, 60.0)
    assert ratio.value == ratio.high == np.inf
    np.testing.assert_allclose(ratio.low, 0.6915 / 0.3085, rtol=1e-3)
    nothing = intervals.hold_time_ratio(0, 60.0, 0, 60.0)
    assert np.isnan(nothing.value) and (nothing.low, nothing.high) == (0, np.inf)


def test_dispersion_is_one_for_poisson_and_more_for_unequal_environments():
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(intervals.dispersion(rng.poisson(3.0, 20_000)), 1.0, atol=0.05)
    # Half the environments never drop, half do so 6 times on average: (3 + 9) / 3 = 4.
    mixed = rng.poisson(np.repeat([0.0, 6.0], 10_000))
    np.testing.assert_allclose(intervals.dispersion(mixed), 4.0, atol=0.2)
    assert np.isnan(intervals.dispersion(np.zeros(5)))


def test_impossible_counts_are_named():
    with pytest.raises(ValueError, match="events >= 0 and exposure > 0, got 3 and 0"):
        intervals.rate(3, 0)
    with pytest.raises(ValueError, match="got -1 in 5 s and 2 in 6 s"):
        intervals.hold_time_ratio(-1, 5, 2, 6)


def test_a_paired_ratio_is_of_the_same_environments():
    hard = np.arange(1, 201) % 10  # what is hard for one is hard for the other: exactly twice as many
    found = intervals.paired_ratio(2 * hard, hard)
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)
    rng = np.random.default_rng(0)
    apart = intervals.paired_ratio(rng.poisson(3.0, 4000), rng.poisson(2.0, 4000))
    exact = 1.5 * np.exp(np.array([-1, 1]) * 1.96 * np.sqrt(1 / 12000 + 1 / 8000))  # of Poisson counts
    np.testing.assert_allclose([apart.low, apart.high], exact, rtol=0.03)
    assert intervals.paired_ratio([3, 1], [0, 0]).value == np.inf and np.isnan(intervals.paired_ratio([0], [0]).value)
    with pytest.raises(ValueError, match="two counts of each environment"):
        intervals.paired_ratio([1, 2], [1])


def test_a_paired_ratios_interval_is_scipys():
    rng = np.random.default_rng(1)
    above, below = rng.poisson(5.0, 60), rng.poisson(3.0, 60)
    ratio = lambda x, y, axis: x.sum(axis) / y.sum(axis)
    theirs = stats.bootstrap((above, below), ratio, paired=True, method="percentile", n_resamples=4000, rng=rng)
    ours = intervals.paired_ratio(above, below)
    np.testing.assert_allclose([ours.low, ours.high], list(theirs.confidence_interval), rtol=0.02)
