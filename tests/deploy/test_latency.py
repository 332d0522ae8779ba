import numpy as np
import pytest

from dexgen_jax.deploy.latency import LONGEST, RESOLUTION, SHORTEST, Latencies


def tally(durations) -> Latencies:
    latencies = Latencies()
    for seconds in durations:
        latencies.add(seconds)
    return latencies


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_are_those_of_the_sorted_durations(share):
    durations = np.random.default_rng(0).lognormal(np.log(5e-3), 1.5, 4000)
    exact = np.sort(durations)[int(np.ceil(share * 4000)) - 1]
    found = tally(durations).quantile(share)
    assert exact * (1 - 1e-9) <= found <= exact * (1 + RESOLUTION) ** 1.01


def test_a_tally_by_hand():
    # 98 of 1 ms, one of 10 ms, one of 50 ms: the 99th of 100 is 10 ms.
    summary = tally([0.001] * 98 + [0.010, 0.050]).summary()
    assert summary["count"] == 100 and summary["worst_ms"] == 50
    assert summary["p50_ms"] == pytest.approx(1, rel=RESOLUTION)
    assert summary["p99_ms"] == pytest.approx(10, rel=RESOLUTION)


def test_the_size_does_not_grow_and_extremes_have_a_place():
    latencies = tally([0.0, -1.0, SHORTEST / 2, 10 * LONGEST, 1e9])
    before = latencies._counts.nbytes
    for _ in range(1000):
        latencies.add(0.1)
    assert latencies._counts.nbytes == before and latencies.count == 1005
    assert latencies.worst == 1e9 and latencies.quantile(0) <= SHORTEST * (1 + RESOLUTION) ** 1.01


def test_an_empty_tally_knows_no_quantile():
    assert Latencies().quantile(0.5) is None
    assert Latencies().summary() == {"count": 0, "p50_ms": None, "p99_ms": None, "worst_ms": 0.0}
