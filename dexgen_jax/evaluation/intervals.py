"""How sure a count makes us: exact intervals for rates of rare events, and for the ratio of two rates.

Events are taken as a Poisson process: one drop makes the next neither likelier nor rarer. `dispersion` checks that.
"""

import dataclasses

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its interval; bounds and value may be infinite."""

    value: float
    low: float
    high: float


def rate(events: int, exposure: float, confidence: float = 0.95) -> Estimate:
    """Events per unit of `exposure`, with the exact Poisson interval. Source: Garwood 1936, doi:10.2307/2333958.

    No event at all gives the value 0 and still an upper bound: 3.69 / exposure at 95%.
    """
    if events < 0 or exposure <= 0:
        raise ValueError(f"a rate needs events >= 0 and exposure > 0, got {events} and {exposure}")
    tail = (1 - confidence) / 2
    low = stats.chi2.ppf(tail, 2 * events) / 2 if events else 0.0
    high = stats.chi2.ppf(1 - tail, 2 * events + 2) / 2
    return Estimate(events / exposure, float(low / exposure), float(high / exposure))


def hold_time(drops: int, seconds: float, confidence: float = 0.95) -> Estimate:
    """Seconds held per drop: the inverse of the drop rate. Without any drop, infinite with a finite lower bound."""
    inverse = rate(drops, seconds, confidence)
    invert = lambda x: 1 / x if x > 0 else np.inf
    return Estimate(invert(inverse.value), invert(inverse.high), invert(inverse.low))


def hold_time_ratio(
    drops: int, seconds: float, reference_drops: int, reference_seconds: float, confidence: float = 0.95
) -> Estimate:
    """How many times longer the object is held than in the reference, with an exact interval.

    Given the total of both counts, the number of reference drops is binomial, its odds the wanted ratio times the
    ratio of the exposures; Clopper-Pearson bounds it. Source: Przyborowski and Wilenski 1940, doi:10.2307/2332612.
    Without any drop on either side nothing is known: the value is not a number, the interval 0 to infinity.
    """
    if min(drops, reference_drops) < 0 or min(seconds, reference_seconds) <= 0:
        raise ValueError(
            f"a ratio needs counts >= 0 and seconds > 0, got {drops} in {seconds} s and "
            f"{reference_drops} in {reference_seconds} s"
        )
    tail, total = (1 - confidence) / 2, drops + reference_drops
    exposure = seconds / reference_seconds
    if total == 0:
        return Estimate(np.nan, 0.0, np.inf)
    low = stats.beta.ppf(tail, reference_drops, drops + 1) if reference_drops else 0.0
    high = stats.beta.ppf(1 - tail, reference_drops + 1, drops) if drops else 1.0
    odds = lambda p: exposure * p / (1 - p) if p < 1 else np.inf
    return Estimate(float(odds(reference_drops / total)), float(odds(low)), float(odds(high)))


def dispersion(counts: np.ndarray) -> float:
    """Variance over mean of the counts (environments,): 1 for a Poisson process, more if some environments are harder.

    Intervals from pooled counts are too narrow by about its square root. Not a number without any event.
    """
    mean = np.mean(counts)
    return float(np.var(counts, ddof=1) / mean) if mean > 0 else float("nan")


def paired_ratio(
    above: np.ndarray, below: np.ndarray, confidence: float = 0.95, resamples: int = 4000, seed: int = 0
) -> Estimate:
    """Sum of the counts `above` over that of `below`, (environments,) each, with a bootstrap interval.

    Environments are drawn with replacement, each with both of its counts: what is hard in one is hard in both, and no
    law of the counts is assumed. Source: Efron 1979, doi:10.1214/aos/1176344552, percentiles.
    """
    above, below = np.asarray(above, float), np.asarray(below, float)
    if above.shape != below.shape or above.ndim != 1 or not len(above):
        raise ValueError(f"a paired ratio needs two counts of each environment, got {above.shape} and {below.shape}")
    drawn = np.random.default_rng(seed).integers(len(above), size=(resamples, len(above)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = above[drawn].sum(1) / below[drawn].sum(1)
        value = above.sum() / below.sum()
    known = ratios[~np.isnan(ratios)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, (tail, 1 - tail), method="nearest") if len(known) else (0.0, np.inf)
    return Estimate(float(value), float(low), float(high))
