"""The chain with its real stages at smoke size: everything learned from nothing, killed on the way, and finished.

A kill falls into a stage after it has begun to leave something behind: into two of them, and with `-m slow` into every
one. What was done before it must be found untouched, and the last call must end with a report and one JSON object.
With `-m slow` a made-up hand of three fingers goes through the same stages, and out through the export.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import launch
import pytest

EXPERIMENTS = Path(launch.__file__).parent
# What a stage writes while it works: once it is there, the stage is killed.
FIRST_TRACES = {
    "grasps": "cube_55.npz",
    "expert": "checkpoints/*/manifest.json",
    "dataset": "*",
    "controller": "checkpoints/*/manifest.json",
    "evaluation": "rows.jsonl",
}
SHORTER = ["--config.anygrasp_ppo.checkpoint_every=5", "--config.evaluate_assist.seconds=5.0"]


def start(run_dir: Path, *arguments: str) -> subprocess.Popen:
    config = EXPERIMENTS / "configs" / "pipeline.py"
    command = [sys.executable, str(EXPERIMENTS / "pipeline.py"), f"--config={config}:smoke", *SHORTER, *arguments]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([*command, f"--config.run_dir={run_dir}"], env=os.environ, **pipes)


def kill_in(stage: str, run_dir: Path) -> None:
    """Starts the pipeline and kills it once `stage` has left its first trace; the stage may be faster than the kill."""
    process = start(run_dir)
    while process.poll() is None and not list((run_dir / stage).glob(FIRST_TRACES[stage])):
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.wait()


def results(run_dir: Path) -> dict[str, int]:
    """When each finished stage wrote its result [ns]."""
    return {path.parent.name: path.stat().st_mtime_ns for path in run_dir.glob("*/result.json")}


@pytest.fixture(
    scope="module", params=[("expert", "evaluation"), pytest.param(tuple(FIRST_TRACES), marks=pytest.mark.slow)]
)
def finished(request, tmp_path_factory) -> tuple[Path, dict]:
    """A run folder that was killed in some stages and then finished, and what the last call printed last."""
    run_dir = tmp_path_factory.mktemp("smoke")
    done_before = {}
    for stage in request.param:
        kill_in(stage, run_dir)
        assert done_before.items() <= results(run_dir).items(), f"the kill in {stage} did or lost a stage again"
        done_before = results(run_dir)
    last = start(run_dir)
    out, err = last.communicate()
    assert last.returncode == 0, err
    assert done_before.items() <= results(run_dir).items()
    return run_dir, json.loads(out.splitlines()[-1])


def test_killed_on_the_way_the_chain_still_ends(finished):
    run_dir, result = finished
    assert list(FIRST_TRACES) == [name for name in result if name != "minutes"]
    assert set(results(run_dir)) >= set(FIRST_TRACES)
    rows = [json.loads(line) for line in (run_dir / "evaluation" / "rows.jsonl").read_text().splitlines()]
    names = [(row["operator"], row["helper"], row["strength"]) for row in rows]
    assert len(names) == len(set(names)) == 8
    (operator,) = result["evaluation"]["operators"].values()
    low, value, high = (operator["alone"]["hold_time"][key] for key in ("low", "value", "high"))
    assert 0 < low < value < high
    assert result["dataset"]["transitions"] == 64 * 150


def test_the_report_is_one_page_with_its_films_inside(finished):
    page = (finished[0] / "report.html").read_text()
    assert "data:video/mp4;base64," in page
    assert "<table" in page
    fetched = re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'> ]+|url\((?!["']?(?:data:|#))""", page)
    assert not fetched, "the page must be whole without a network"


def test_a_finished_run_is_not_done_again(finished):
    before = results(finished[0])
    again = start(finished[0])
    again.communicate()
    assert again.returncode == 0
    stages = {name: time for name, time in results(finished[0]).items() if name in FIRST_TRACES}
    assert stages.items() <= before.items()


@pytest.mark.parametrize(
    "script, damage, arguments, words",
    [
        ("collect_dataset", "grasps/cube_55.npz", [], ["cube_55.npz", "damaged", "delete it"]),
        ("train_controller", "dataset", [], ["dataset"]),
        ("evaluate_assist", None, ["--config.mode=juggle"], ["juggle", "default", "precision_rotation"]),
        ("grow_grasps", None, ["--config.objects=cube_56"], ["cube_56", "cube_55"]),
        ("grow_grasps", None, ["--config.grasps_per_objects=3"], ["grasps_per_objects", "grasps_per_object"]),
    ],
)
def test_bad_input_is_one_clear_line(finished, tmp_path, script, damage, arguments, words):
    """On a copy of the finished run without the result of the stage that is called."""
    run_dir = tmp_path / "run"
    subprocess.run(["cp", "-r", finished[0], run_dir], check=True)
    (run_dir / launch.STAGES[script] / "result.json").unlink()
    (run_dir / launch.STAGES[script] / launch.CONFIG_FILE).unlink()
    if damage and (run_dir / damage).is_file():
        (run_dir / damage).write_bytes((run_dir / damage).read_bytes()[:5000])
    elif damage:
        shard = max((path for path in (run_dir / damage).rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
        shard.write_bytes(shard.read_bytes()[:-100])
    config = EXPERIMENTS / "configs" / f"{script}.py"
    command = [sys.executable, str(EXPERIMENTS / f"{script}.py"), f"--config={config}:smoke"]
    called = subprocess.run(
        [*command, f"--config.run_dir={run_dir}", *arguments], capture_output=True, text=True, env=os.environ
    )
    assert called.returncode == 2, called.stdout
    (line,) = [line for line in called.stderr.splitlines() if line.startswith("error:")]
    assert all(word in line for word in words), line
    assert "Traceback" not in called.stderr


def export(run_dir: Path, hand: Path | str) -> subprocess.CompletedProcess:
    """Exports the run's controller as that of a hand."""
    command = [sys.executable, str(EXPERIMENTS / "export_controller.py"), "--config.controller=run"]
    arguments = [f"--config.run_dir={run_dir}", f"--config.hand={hand}"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, env=os.environ)


@pytest.mark.slow
def test_a_made_up_hand_goes_through_every_stage_and_is_exported(tmp_path):
    """Other fingers, joints, keypoints; its file is all that is said of it, and one ball is what it can hold."""
    hand = EXPERIMENTS.parent / "tests" / "hand" / "three_finger.py"
    stages = ("grow_grasps", "anygrasp_ppo", "collect_dataset", "evaluate_assist")
    ball = [f"--config.{stage}.objects=sphere_70" for stage in stages]
    process = start(tmp_path, f"--config.hand={hand}", *ball)
    out, err = process.communicate()
    assert process.returncode == 0, err
    result = json.loads(out.splitlines()[-1])
    assert list(FIRST_TRACES) == [name for name in result if name != "minutes"]
    expert, controller = (
        json.loads((tmp_path / kind / "config.json").read_text())["config"] for kind in ("expert", "controller")
    )
    assert expert["hand"] == controller["model"]["hand_name"] == "three_finger"
    exported = export(tmp_path, hand)
    assert exported.returncode == 0, exported.stderr
    result = json.loads(exported.stdout.splitlines()[-1])
    assert result["hand"] == "three_finger" and result["zip"]["largest_difference_rad"] < 1e-5
    refused = export(tmp_path, "allegro")
    assert refused.returncode == 2
    assert "is of hand 'three_finger', asked for 'allegro'" in refused.stderr
