"""The chain with its real stages, smaller than smoke: everything learned from nothing, in one call.

With `-m slow` it is killed in every stage, after that has begun to leave something behind: what was done before must be
found untouched, and the last call must end with a report and one JSON object. (By default stages are killed one by one,
in the tests of each.) Slow, too: a made-up hand of three fingers goes the same way, and out through the export.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import collect_dataset
import evaluate_assist
import grow_grasps
import launch
import pipeline
import processes
import pytest
import train_controller

EXPERIMENTS = Path(launch.__file__).parent
# What a stage writes while it works: once it is there, the stage is killed.
FIRST_TRACES = {
    "grasps": "cube_55.npz",
    "expert": "checkpoints/*/manifest.json",
    "dataset": "*",
    "controller": "checkpoints/*/manifest.json",
    "evaluation": "rows.jsonl",
}
# Even less than smoke: what is asked here is whether the stages fit together, not what they learn.
SMALLER = {
    "grow_grasps": {
        "objects": "cube_55,sphere_64", "grasps_per_object": 30, "pictures": 1,
        **{f"growth.{maker}": "(64,24)" for maker in ("cup", "contacts", "search")},  # one part each: half to compile
    },
    "anygrasp_ppo": {
        "objects": "cube_55,sphere_64", "iterations": 4, "log_every": 2, "checkpoint_every": 2, "eval_envs": 16,
        "eval_steps": 40, "ppo.num_envs": 32, "graph.neighbours": 4,
    },
    "collect_dataset": {
        "objects": "cube_55,sphere_64", "layout.streams": 32, "layout.rows": 100, "graph.neighbours": 4,
    },
    "train_controller": {"recipe.steps": 60, "recipe.batch": 64, "steps_per_call": 30, "checkpoint_every": 30},
    "evaluate_assist": {
        "objects": "cube_55,sphere_64", "num_envs": 16, "seconds": 5.0, "film.seconds": 1.0, "graph.neighbours": 4,
        "references": "('random',)", "strengths": "(1.0,)",
    },
}  # fmt: skip


def arguments_of(run_dir: Path) -> list[str]:
    config = EXPERIMENTS / "configs" / "pipeline.py"
    changes = [f"--config.{stage}.{name}={value}" for stage, of in SMALLER.items() for name, value in of.items()]
    return [str(EXPERIMENTS / "pipeline.py"), f"--config={config}:smoke", *changes, f"--config.run_dir={run_dir}"]


def start(run_dir: Path, *arguments: str) -> AbstractContextManager[processes.Process]:
    how = dict(env=os.environ, stdout=processes.PIPE, stderr=processes.PIPE)
    return processes.started([sys.executable, *arguments_of(run_dir), *arguments], **how)


def kill_in(stage: str, run_dir: Path) -> None:
    """Starts the pipeline and kills it once `stage` has left its first trace; the stage may be faster than the kill."""
    with start(run_dir) as process:
        while process.poll() is None and not list((run_dir / stage).glob(FIRST_TRACES[stage])):
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGKILL)


def results(run_dir: Path) -> dict[str, int]:
    """When each finished stage wrote its result [ns]."""
    return {path.parent.name: path.stat().st_mtime_ns for path in run_dir.glob("*/result.json")}


@pytest.fixture(scope="module", params=[(), pytest.param(tuple(FIRST_TRACES), marks=pytest.mark.slow)])
def finished(request, tmp_path_factory) -> tuple[Path, dict]:
    """A run folder that was killed in some stages and then finished, and what the last call printed last."""
    run_dir = tmp_path_factory.mktemp("smoke")
    done_before = {}
    for stage in request.param:
        kill_in(stage, run_dir)
        assert done_before.items() <= results(run_dir).items(), f"the kill in {stage} did or lost a stage again"
        done_before = results(run_dir)
    with start(run_dir) as last:
        out, err = last.communicate()
    assert last.returncode == 0, err
    assert done_before.items() <= results(run_dir).items()
    return run_dir, json.loads(out.splitlines()[-1])


def test_the_chain_ends_however_often_it_was_killed(finished):
    run_dir, result = finished
    assert list(FIRST_TRACES) == [name for name in result if name != "minutes"]
    assert set(results(run_dir)) >= set(FIRST_TRACES)
    rows = [json.loads(line) for line in (run_dir / "evaluation" / "rows.jsonl").read_text().splitlines()]
    names = [(row["operator"], row["helper"], row["strength"]) for row in rows]
    assert len(names) == len(set(names)) == 5
    (operator,) = result["evaluation"]["operators"].values()
    low, value, high = (operator["alone"]["hold_time"][key] for key in ("low", "value", "high"))
    assert 0 < low < value < high
    assert result["dataset"]["transitions"] == 32 * 100


def test_the_report_is_one_page_with_its_films_inside(finished):
    page = (finished[0] / "report.html").read_text()
    assert "data:video/mp4;base64," in page
    assert "<table" in page
    fetched = re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'> ]+|url\((?!["']?(?:data:|#))""", page)
    assert not fetched, "the page must be whole without a network"


def test_a_finished_run_is_not_done_again(finished, capsys):
    before = results(finished[0])
    launch.main(pipeline.run, arguments_of(finished[0]), again=True)
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) | {"minutes": 0} == finished[1] | {"minutes": 0}
    stages = {name: time for name, time in results(finished[0]).items() if name in FIRST_TRACES}
    assert stages.items() <= before.items()


@pytest.mark.parametrize(
    "script, damage, arguments, words",
    [
        (collect_dataset, "grasps/cube_55.npz", [], ["cube_55.npz", "damaged", "delete it"]),
        (train_controller, "dataset", [], ["dataset"]),
        (evaluate_assist, None, ["--config.mode=juggle"], ["juggle", "default", "precision_rotation"]),
        (grow_grasps, None, ["--config.objects=cube_56"], ["cube_56", "cube_55"]),
        (grow_grasps, None, ["--config.grasps_per_objects=3"], ["grasps_per_objects", "grasps_per_object"]),
    ],
)
def test_bad_input_is_one_clear_line(finished, tmp_path, capsys, script, damage, arguments, words):
    """On a copy of the finished run without the result of the stage that is called."""
    name = script.__name__
    run_dir = tmp_path / "run"
    shutil.copytree(finished[0], run_dir)
    (run_dir / launch.STAGES[name] / "result.json").unlink()
    (run_dir / launch.STAGES[name] / launch.CONFIG_FILE).unlink()
    if damage and (run_dir / damage).is_file():
        whole = (run_dir / damage).read_bytes()
        (run_dir / damage).write_bytes(whole[: len(whole) // 2])
    elif damage:
        shard = max((path for path in (run_dir / damage).rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
        shard.write_bytes(shard.read_bytes()[:-100])
    command = [f"{name}.py", f"--config={EXPERIMENTS / 'configs' / name}.py:smoke", f"--config.run_dir={run_dir}"]
    with pytest.raises(SystemExit) as stopped:
        launch.main(script.run, [*command, *arguments])
    said = capsys.readouterr()
    assert stopped.value.code == 2, said.out
    (line,) = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert all(word in line for word in words), line


def export(run_dir: Path, hand: Path | str) -> processes.Done:
    """Exports the run's controller as that of a hand."""
    command = [sys.executable, str(EXPERIMENTS / "export_controller.py"), "--config.controller=run"]
    arguments = [f"--config.run_dir={run_dir}", f"--config.hand={hand}"]
    return processes.run([*command, *arguments], env=os.environ)


@pytest.mark.slow
def test_a_made_up_hand_goes_through_every_stage_and_is_exported(tmp_path):
    """Other fingers, joints, keypoints; its file is all that is said of it, and one ball is what it can hold."""
    hand = EXPERIMENTS.parent / "tests" / "hand" / "three_finger.py"
    stages = ("grow_grasps", "anygrasp_ppo", "collect_dataset", "evaluate_assist")
    ball = [f"--config.{stage}.objects=sphere_70" for stage in stages]
    with start(tmp_path, f"--config.hand={hand}", *ball) as process:
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
