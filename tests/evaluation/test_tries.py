"""Laws: every goal that was set and ended is one try, its time is all of its steps, and shares add up."""

import types

import numpy as np
import pytest
import scipy.stats

from dexgen_jax.evaluation import tries
from dexgen_jax.evaluation.tries import Tries

STEPS, ENVS = 8, 2
TOLERANCES = (0.025, 0.4, 0.6)


def recording():
    """One environment reaches a goal in 3 steps, gives one up after 4, and has one open; the other drops at 5."""
    flags = lambda *where: np.array([[(t, e) in where for e in range(ENVS)] for t in range(STEPS)])
    asked = np.zeros((STEPS, ENVS, 3))
    asked[:3, 0], asked[3:7, 0], asked[7, 0] = (0.02, 0.8, 0.3), (0.02, 2.0, 0.3), (0.0, 0.4, 0.0)
    asked[:5, 1], asked[5:, 1] = (0.06, 0.7, 0.3), (0.0, 0.4, 0.0)
    left = np.full((STEPS, ENVS, 3), 0.01)
    left[6, 0] = (0.03, 1.0, 0.5)
    age = np.array([[1, 2, 3, 1, 2, 3, 4, 1], [1, 2, 3, 4, 5, 1, 2, 3]]).T
    return types.SimpleNamespace(
        goal=flags((2, 0)), given_up=flags((6, 0)), drop=flags((4, 1)), ended=flags((4, 1)), asked=asked, left=left,
        goal_age=age, object=np.tile([0, 1], (STEPS, 1)), angle=np.tile([10.0, 170.0], (STEPS, 1)),
    )  # fmt: skip


@pytest.fixture
def found():
    return tries.collect(recording())


def test_tries_by_hand(found):
    assert found.outcome.tolist() == ["reached", "dropped", "given up"]
    np.testing.assert_allclose(found.seconds, [0.3, 0.5, 0.4])
    np.testing.assert_allclose(found.far["rotation"], [0.8, 0.7, 2.0])
    # In units of 2 cm, 0.4 rad and 0.3 rad: 1 + 2 + 1, 3 + 1.75 + 1, 1 + 5 + 1.
    np.testing.assert_allclose(found.far["distance"], [4, 5.75, 7])
    assert found.object.tolist() == [0, 1, 0]


def test_a_summary_by_hand(found):
    sides = {"palm up": found.angle < 60, "sideways": found.angle == 90}
    summary = tries.summarise(found, {"gravity": sides}, TOLERANCES)
    rows = summary["by"]
    assert set(rows["gravity"]) == {"palm up"}  # nothing happened sideways
    up = rows["gravity"]["palm up"]
    assert (up["tries"], up["reached"], up["given up"], up["dropped"], up["cut"]) == (2, 1, 1, 0, 0)
    np.testing.assert_allclose([up["seconds"], up["seconds_to_goal"], up["share"]["value"]], [0.7, 0.3, 0.5])
    assert [(name, row["tries"]) for name, row in rows["rotation"].items()] == [
        ("0.6 to 0.75", 1),
        ("0.75 to 0.9", 1),
        ("from 1.2", 1),
    ]
    assert rows["position"]["from 0.05"]["dropped"] == 1 and rows["distance"]["3 to 4.5"]["reached"] == 1
    assert rows["position"]["from 0.05"]["seconds_to_goal"] is None  # none was reached
    assert list(summary["time"]) == ["reached", "given up", "dropped"]
    np.testing.assert_allclose(list(summary["time"].values()), [0.25, 1 / 3, 5 / 12])
    assert summary["missing"] == {"position+rotation": 1.0}


def test_every_kind_of_group_holds_all_tries(found):
    rows = tries.summarise(found, {}, TOLERANCES)["by"]
    assert set(rows) == set(tries.EDGES)
    assert all(sum(row["tries"] for row in of.values()) == 3 for of in rows.values())


def test_what_is_missing_adds_up_and_comes_in_order():
    left = np.array([[0.01, 0.5, 0.1], [0.03, 0.5, 0.7], [0.0, 0.6, 0.0], [0.01, 0.1, 0.1]])
    n = len(left)
    given_up = Tries(np.full(n, "given up"), np.ones(n), left, left, np.zeros(n, int), np.zeros(n))
    shares = tries.missing(given_up, TOLERANCES)
    assert list(shares)[0] == "rotation" and shares["rotation"] == 0.5
    assert shares["position+rotation+joints"] == shares["none"] == 0.25


def test_without_tolerances_nothing_is_missing(found):
    assert tries.summarise(found, {}, None)["missing"] == {}


def test_quantiles_are_of_the_edges_that_there_are():
    library = types.SimpleNamespace(
        neighbours=np.array([[1, 2], [0, 2], [0, 1]]), distance=np.array([[1.0, 2.0], [1.0, np.inf], [2.0, np.inf]])
    )
    place = np.array([0.0, 0.02, 0.06])  # m
    sizes = lambda start, goal: (np.abs(place[goal] - place[start]), 0 * start, 0 * start)
    found = tries.graph_quantiles(library, sizes)
    # Edges of 2, 6, 2 and 6 cm: 1, 3, 1 and 3 units.
    np.testing.assert_allclose([found["position"][q] for q in ("0.1", "0.5", "0.9")], [0.02, 0.04, 0.06])
    np.testing.assert_allclose(found["distance"]["0.5"], 2.0)


def test_the_table_tells_it_all(found):
    graph = {"distance": {f"{q:g}": 4.0 for q in tries.QUANTILES}}
    text = tries.table(tries.summarise(found, {}, TOLERANCES), graph)
    assert "| all | 3 | 33% (1% to 91%) | 33% | 33% | 0.3 | 1 |" in text
    assert "Time goes into goals that were: 25% reached, 33% given up, 42% dropped." in text
    assert "Not within tolerance when a goal was given up: position+rotation 100%." in text
    assert "| rotation from 1.2 | 1 | 0% (0% to 98%) | 100% | 0% | - | - |" in text
    widths = {line.count("|") for line in text.split("\n\n")[0].splitlines()}
    assert widths == {8}


def test_a_proportion_by_its_definition():
    share = tries.proportion(3, 10)
    # At the bounds, as many or more (fewer) successes have a chance of 2.5%.
    np.testing.assert_allclose(scipy.stats.binom.sf(2, 10, share.low), 0.025, rtol=1e-6)
    np.testing.assert_allclose(scipy.stats.binom.cdf(3, 10, share.high), 0.025, rtol=1e-6)
    assert tries.proportion(0, 5).low == 0 and tries.proportion(5, 5).high == 1
    with pytest.raises(ValueError, match="got 3 of 0"):
        tries.proportion(3, 0)
