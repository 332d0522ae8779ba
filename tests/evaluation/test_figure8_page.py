"""The page of figure 8 says what results.json says."""

import html
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from evaluation_records import record

from dexgen_jax import run_log
from dexgen_jax.evaluation import assist, figure8_page, helping, intervals
from dexgen_jax.viz import plots


def _row(operator, helper, drops, goals):
    happened = record(drops, goals)
    strength = 1.0 if helper in helping.LEARNED else None
    return assist.summarise(operator, happened, helper, strength) | assist.details(happened)


def _results():
    rng = np.random.default_rng(0)
    rows = []
    for operator in ("noisy 1.5", "misled 0.5", "clean"):
        for helper, rate in ((helping.ALONE, 4.0), (helping.TURNED_DOWN, 2.0), (helping.CONTROLLER, 1.0)):
            rows.append(_row(operator, helper, rng.poisson(rate, 16), rng.poisson(3.0, 16)))
    found = {split: [row | {"split": split} for row in rows] for split in ("train", "held_out", "slippery")}
    return json.loads(run_log.to_json({"rows": found, "listings": {"settings": "a < b"}}))


def test_the_pages_numbers_are_those_of_the_results():
    results = _results()
    page = figure8_page.page(results)
    assert page.count("<h2>All rows") == 3 and "Beside the paper" in page and "a &lt; b" in page
    table = page[page.index("<h2>All rows: train") :]
    for row in results["rows"]["train"]:
        cells = f"<td>{row['drops']}<td>"
        assert cells in table
        number = f"{row['hold_time']['value']:.3g}".split("e")[0]
        assert re.sub(r"[,]", "", table).count(number[:4]) >= 1
    ratio = figure8_page.compare(results["rows"]["train"])["noisy 1.5"]
    alone, helped = (results["rows"]["train"][i]["each"] for i in (0, 2))
    assert ratio["hold"]["value"] == sum(alone["drops"]) / sum(helped["drops"])
    assert ratio["goals"]["value"] == sum(helped["goals"]) / sum(alone["goals"])
    assert ratio["hold"]["low"] == intervals.paired_ratio(alone["drops"], helped["drops"]).low
    assert f"{ratio['hold']['value']:.3g}"[:3] in figure8_page.sentence("noisy 1.5", ratio)


PAGES = sorted(folder.name for folder in (Path(__file__).parents[2] / "docs" / "results").iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_the_docs_says_what_its_results_say(name):
    folder = Path(__file__).parents[2] / "docs" / "results" / name
    results, page = json.loads((folder / "results.json").read_text()), (folder / "figure8.html").read_text()
    for split, rows in results["rows"].items():
        assert figure8_page.table(rows, results["command"]) in page, split
        told = figure8_page.compare(rows) if split in ("train", "held_out") else {}  # the others are drawn together
        for operator, ratio in told.items():
            assert figure8_page.sentence(operator, ratio) in page
    for operator, ratio in figure8_page.together(results["rows"].values()).items():
        assert figure8_page.sentence(operator, ratio) in page


def test_splits_together_count_all_their_environments():
    rows = _results()["rows"]["train"]
    alone, helped = (rows[i]["each"] for i in (0, 2))
    less = [rows[0], rows[3]]  # nobody helped: left out, and not counted on one side alone
    ratio = figure8_page.together([rows, less, rows[::-1]])["noisy 1.5"]
    assert ratio["hold"]["value"] == sum(alone["drops"]) / sum(helped["drops"])  # twice both
    assert ratio["hold"]["low"] > figure8_page.compare(rows)["noisy 1.5"]["hold"]["low"]  # and surer
    other = [row | {"each": {"drops": [7], "goals": [1]}} for row in rows]
    ratio = figure8_page.together([rows, other])["noisy 1.5"]
    assert ratio["goals"]["value"] == (sum(helped["goals"]) + 1) / (sum(alone["goals"]) + 1)


def test_a_row_can_be_simulated_again_by_the_command_beside_it():
    command = ["figure8.py", "--config=a.py:wide", "--config.seed=3", "--config.splits=('x',)"]
    results = _results() | {"command": command}
    row = results["rows"]["slippery"][2]
    again = figure8_page.again(results["command"], row)
    told = shlex.split(again)
    assert told[:4] == ["python", "figure8.py", "--config=a.py:wide", "--config.seed=3"]
    flags = dict(part.removeprefix("--config.").split("=", 1) for part in told[4:])
    assert flags == {
        "run_dir": "runs/again", "splits": "('slippery',)", "operators": "('noisy 1.5',)", "own_operators": "()",
        "helpers": "('controller',)", "strengths": "(1.0,)",
    }  # fmt: skip
    assert html.escape(again) in figure8_page.page(results)


def test_families_by_hand():
    counts = lambda seconds, drops, goals: {"seconds": seconds, "drops": drops, "goals": goals}
    alone = {"by_object": {"0": counts(60.0, 6, 2), "2": counts(60.0, 1, 1)}}
    helped = {"by_object": {"0": counts(40.0, 1, 4), "1": counts(9.0, 1, 1)}}
    found = figure8_page.by_family(alone, helped, ["cube_50", "cube_55", "rod_30_150"])
    assert set(found["hold"]) == {"cube"}  # of the others one row knows nothing
    assert found["hold"]["cube"]["value"] == pytest.approx((40 / 1) / (60 / 6))
    assert found["goals"]["cube"]["value"] == pytest.approx((4 / 40) / (2 / 60))


def test_rows_without_a_drop_or_a_goal_are_shown_too():
    for drops in (0, 1):
        rows = [_row("noisy 1.5", helper, [drops, 0], [0, 0]) for helper in (helping.ALONE, helping.CONTROLLER)]
        page = figure8_page.page({"rows": {"train": rows}, "listings": {}})
        assert page.count("<tr>") == 3
        assert ("not known how many times as long (no drop on either side)" in page) == (drops == 0)
        assert "not known how many times as many goals (no goal on either side)" in page and "∞ times" not in page


def test_survival_by_hand():
    # Lost at 1 s (of 4 held), one seen until 2 s, lost at 3 s (of 2 held), one open at 5 s.
    times, share = plots.kaplan_meier(np.array([1.0, 3.0]), np.array([2.0, 5.0]))
    np.testing.assert_array_equal(times, [0, 1, 3, 5])
    np.testing.assert_allclose(share, [1, 0.75, 0.375, 0.375])
    times, share = plots.kaplan_meier(np.array([]), np.array([4.0]))  # nothing was lost
    np.testing.assert_array_equal([times, share], [[0, 4], [1, 1]])
