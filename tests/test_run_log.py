"""Laws: a reader never meets half a file or half a line; a stage is done exactly when its result is there."""

import json
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax import run_log
from dexgen_jax.run_log import RunLog, atomic_write, read_metrics


def lines(folder):
    return [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path):
    for content in ("first", "second"):
        atomic_write(tmp_path / "file", content)
        assert (tmp_path / "file").read_text() == content
    atomic_write(tmp_path / "file", b"\x00\xff")
    assert (tmp_path / "file").read_bytes() == b"\x00\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_write_that_dies_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch):
    atomic_write(tmp_path / "file", "old")

    def dies(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_log.os, "fsync", dies)
    with pytest.raises(OSError, match=f"cannot write {tmp_path}/file: No space left on device"):
        atomic_write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_each_write_is_one_line_with_stage_step_and_time(tmp_path):
    log = RunLog(tmp_path / "run", "expert")
    log.write(10, {"reward": jnp.array(0.5), "rate": np.float32(2.0), "goals": 3})
    log.write(20, {"reward": float("nan")})
    first, second = lines(tmp_path / "run")
    assert {**first, "time": 0} == {"stage": "expert", "step": 10, "time": 0, "reward": 0.5, "rate": 2.0, "goals": 3.0}
    assert second["reward"] is None  # strict JSON has no nan
    assert second["time"] >= first["time"] > 1.7e9  # seconds since 1970


def test_tensorboard_holds_the_same_numbers(tmp_path):
    log = RunLog(tmp_path, "expert")
    log.write(10, {"reward": 0.5})
    log.close()
    (events,) = (tmp_path / "tensorboard" / "expert").iterdir()
    assert b"reward" in events.read_bytes()


def test_a_metric_that_is_no_number_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=re.escape("metric reward has shape (3,)")):
        RunLog(tmp_path, "expert").write(0, {"reward": np.zeros(3)})


def test_a_line_cut_by_a_kill_does_not_spoil_the_next(tmp_path):
    RunLog(tmp_path, "expert").write(1, {"x": 1.0})
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(b'{"stage": "expert", "st')
    RunLog(tmp_path, "expert").write(2, {"x": 2.0})
    assert [line["x"] for line in read_metrics(tmp_path, "expert")] == [1.0, 2.0]


def test_where_a_run_went_back_the_later_line_counts(tmp_path):
    log, other = RunLog(tmp_path, "expert"), RunLog(tmp_path, "grasps")
    for step, x in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0), (3, 30.0)):  # killed after 3, continued from 1
        log.write(step, {"x": x})
    other.write(2, {"x": -1.0})
    log.write(4, {"x": 40.0})
    assert [(line["step"], line["x"]) for line in read_metrics(tmp_path, "expert")] == [
        (1, 1.0),
        (2, 20.0),
        (3, 30.0),
        (4, 40.0),
    ]


def test_result_is_there_only_when_finished(tmp_path):
    log = RunLog(tmp_path, "expert")
    assert log.result() is None
    log.finish({"loss": np.float32(0.5), "interval": (1, np.inf), "curve": np.arange(3), "folder": tmp_path})
    assert log.result() == {"loss": 0.5, "interval": [1, None], "curve": [0, 1, 2], "folder": str(tmp_path)}
    assert RunLog(tmp_path, "expert").result() == log.result()
    assert RunLog(tmp_path, "grasps").result() is None
    with pytest.raises(TypeError, match="which JSON cannot hold"):
        RunLog(tmp_path, "grasps").finish({"x": object()})
    (tmp_path / "expert" / "result.json").write_text("{")
    with pytest.raises(ValueError, match="result.json is not JSON .* delete it"):
        log.result()


def test_other_hosts_touch_no_file(tmp_path):
    log = RunLog(tmp_path / "run", "expert", writes=False)
    log.write(1, {"x": 1.0})
    with log.progress("training", total=2, unit="steps") as bar:
        bar.advance(2)
    log.finish({"x": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_unwritable_run_folder_names_the_path_and_the_way_out(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    wanted = re.escape(f"cannot write in the run folder {tmp_path}/file/run:") + ".*--config.run_dir="
    with pytest.raises(OSError, match=wanted):
        RunLog(tmp_path / "file" / "run", "expert")


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told: clock[0] += seconds."""
    now = [100.0]
    monkeypatch.setattr(run_log.time, "monotonic", lambda: now[0])
    return now


def test_progress_lines_carry_count_rate_and_remaining_time(tmp_path, clock, capsys):
    # 200 of 1000 were done before; 100 more take 20 s: 5 a second, and 700 are left for 140 s.
    with RunLog(tmp_path, "dataset").progress("collecting", total=1000, unit="rows", done=200) as bar:
        clock[0] += 20.0
        bar.advance(100, loss=0.12345, mode="expert")
        assert bar.rate() == 5.0
        first = capsys.readouterr().err
        bar.advance(1)  # within the same second: no second line
        assert capsys.readouterr().err == ""
    assert first == "collecting  300/1000 rows  5 rows/s  2:20 left  loss 0.1235  mode expert\n"
    assert capsys.readouterr().err.startswith("collecting  301/1000 rows")


def test_progress_draws_a_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes stderr for a terminal
    monkeypatch.setenv("COLUMNS", "120")
    with RunLog(tmp_path, "dataset").progress("collecting", total=4, unit="rows") as bar:
        bar.advance(3, loss=0.5)
    text = capsys.readouterr().err
    assert "collecting" in text and "3/4 rows" in text and "loss 0.5" in text and "━" in text


@pytest.mark.parametrize(
    "value, text", [(0.00123456, "0.001235"), (9999, "9999"), (12345, "12.35k"), (2.5e6, "2.5M"), (math.nan, "nan")]
)
def test_short_numbers(value, text):
    assert run_log._short(value) == text


def test_a_full_disk_is_said_with_the_folder(tmp_path, monkeypatch):
    log = run_log.RunLog(tmp_path, "stage")
    log.close()
    log._metrics = open("/dev/full", "ab", buffering=0)  # what a full disk does to a file
    with pytest.raises(OSError, match=f"cannot write metrics in {tmp_path}: No space left on device"):
        log.write(1, {"loss": 1.0})
