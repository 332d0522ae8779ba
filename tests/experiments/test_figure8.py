"""Figure 8's plan of rows, and (slow) the whole of it at smoke size."""

import json
from pathlib import Path

import command_line
import figure8
import launch
import pytest
import settings

from dexgen_jax.evaluation import helping

CONFIG = Path(figure8.__file__).parent / "configs" / "figure8.py"


def _config(size, **changes):
    config = command_line.load(f"{CONFIG}:{size}", CONFIG.parent).copy_and_resolve_references()
    config.update(changes)
    return config


@pytest.mark.parametrize("size", ["smoke", "laptop", "own", "worlds", "helpers", "strengths", "wide", "gpu"])
def test_every_size_can_be_run(size):
    config = _config(size)
    figure8.check(config)
    assert all(figure8.cases(config, split) for split in config.splits)


def test_the_row_of_an_operator_who_is_not_heard_can_be_simulated_again():
    config = _config("strengths", strengths=(0.0,), operators=("clean",), helpers=(helping.CONTROLLER,))
    figure8.check(config)
    assert figure8.cases(config, "train") == [("clean", helping.CONTROLLER, 0.0)]


def test_the_plan_has_every_helper_where_objects_differ_and_three_elsewhere():
    config = _config("wide", dataset="somewhere")
    on_train, slippery = figure8.cases(config, "train"), figure8.cases(config, "slippery")
    assert len(on_train) == len(set(on_train)) == 15 * 9 and len(slippery) == 5 * 3
    assert ("misled 0.5", helping.CLONED, 1.0) in on_train and ("noisy 1.5", helping.ALONE, None) in slippery
    without = figure8.cases(_config("wide"), "train")  # no recordings, nobody who imitates them
    assert {helper for _, helper, _ in on_train} - {helper for _, helper, _ in without} == {"cloned", "nearest motion"}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"splits": ("upside_down",)}, "config.splits has 'upside_down'; there are: train, held_out"),
        ({"helpers": ("prayer",)}, "config.helpers has 'prayer'; there are: alone, clipped"),
        ({"operators": ("frozen 7",)}, "no finger 7: hand 'allegro' has 0 to 3"),
        ({"strengths": ()}, "config.strengths is .*: help needs a strength, 0 or above"),
        ({"helpers": ("cloned",)}, "nothing to simulate in 'train': .* needs --config.dataset=FOLDER"),
    ],
)
def test_what_does_not_exist_is_refused_at_once(changes, message):
    with pytest.raises(ValueError, match=message):
        figure8.check(_config("smoke", **changes))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"held_out": "cube_5"}, "figure8: no object named 'cube_5'; nearest: cube_55"),
        ({"mode": "defualt"}, "figure8: no mode 'defualt'"),
        ({"seconds": 0.0}, "figure8: seconds is 0.0: it must be at least one control step"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(changes, message):
    with pytest.raises(ValueError, match=message):
        settings.refuse(_config("smoke", **changes), "figure8")


@pytest.mark.slow
def test_rows_are_simulated_once_and_the_page_shows_them(tmp_path, capsys):
    argv = ["figure8.py", f"--config={CONFIG}:smoke", f"--config.run_dir={tmp_path}"]
    launch.main(figure8.run, argv, again=True)
    results = json.loads((tmp_path / "results.json").read_text())
    assert {split: len(rows) for split, rows in results["rows"].items()} == {"train": 12, "held_out": 12, "slippery": 6}
    page = (tmp_path / "figure8.html").read_text()
    before = (tmp_path / "figure8" / "train" / "rows.jsonl").stat().st_mtime_ns
    launch.main(figure8.run, argv, again=True)
    assert (tmp_path / "figure8" / "train" / "rows.jsonl").stat().st_mtime_ns == before
    assert (tmp_path / "figure8.html").read_text().count("<tr>") == page.count("<tr>")
