"""Several processes train one controller, started as a SLURM job; killed and stopped ones come to the same bits."""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import command_line
import fake_streams
import jax
import launch
import numpy as np
import processes
import pytest
import submit

from dexgen_jax.dataset import store
from dexgen_jax.hand import allegro

EXPERIMENTS = Path(launch.__file__).parent
# Groups of eight numbers are normalised. In a width of 16 they are of two, which often nearly agree: their variance is
# then a difference of rounding errors, and no two programs learn the same.
SIZES = [
    *("--config.model.width=64", "--config.model.depth=1", "--config.model.encoder_width=16"),
    *("--config.model.encoder_layers=1", "--config.model.inverse_width=16", "--config.model.inverse_blocks=1"),
    *("--config.model.sampling_steps=2", "--config.recipe.steps=40", "--config.recipe.batch=32"),
    *("--config.recipe.warmup=5", "--config.steps_per_call=10", "--config.checkpoint_every=10"),
    *("--config.held_out_windows=32", "--config.fit_windows=256", "--config.shards=2"),
]
# What SLURM's srun does of what matters here: a step of two tasks, which find each other.
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
for task in 0 1; do JAX_PROCESS_ID=$task "$@" > "out.$task" 2>&1 & done
echo $! > last
code=0
wait -n || code=$?
wait -n || code=$?
exit $code
"""
SCONTROL = """#!/bin/sh
echo "$@" > requeued
"""


@pytest.fixture
def dataset(tmp_path):
    writer = store.create(tmp_path / "recordings", allegro.load(), store.Layout(3, 16, 60), {"control_hz": 10.0})
    for block in range(3):
        writer.write(block, fake_streams.columns(16, 60, seed=block))
    return tmp_path / "recordings"


def weights(run_dir):
    return dict(np.load(run_dir / "controller" / "weights.npz"))


def command(run_dir, dataset, *more):
    config = EXPERIMENTS / "configs" / "train_controller.py"
    return [sys.executable, str(EXPERIMENTS / "train_controller.py"), f"--config={config}:gpu",
            f"--config.run_dir={run_dir}", f"--config.dataset={dataset}", *SIZES, *more]  # fmt: skip


def outside():
    """The environment of a program that tests start."""
    return {**os.environ, "PYTHONPATH": str(EXPERIMENTS.parent)}


def test_stages_that_are_not_written_for_several_processes_refuse_by_name(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    with pytest.raises(ValueError, match="evaluate_assist is written for one process, and this is one of 4: start it"):
        launch.refuse_several("evaluate_assist", several=False)
    launch.refuse_several("train_controller", several=True)
    scripts = [path for path in EXPERIMENTS.glob("*.py") if "several=True" in path.read_text()]
    assert {path.stem for path in scripts} == {"anygrasp_ppo", "collect_dataset", "train_controller"}


@pytest.fixture
def slurm(tmp_path, dataset):
    """`slurm(run_dir)`: the command of a SLURM job of two tasks that train, its environment, and where it runs."""
    place = tmp_path / "place"
    (place / ".venv/bin").mkdir(parents=True)
    (place / "bin").mkdir()
    (place / "experiments").symlink_to(EXPERIMENTS)
    for path, text in (
        (place / "bin/srun", SRUN),
        (place / "bin/scontrol", SCONTROL),
        (place / ".venv/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        path.write_text(text)
        path.chmod(0o755)

    def job(run_dir):
        default = EXPERIMENTS / "configs" / "submit.py"
        config = command_line.read(["submit.py", "--config.stage=train_controller", "--config.hosts=2"], default)
        config.run_dir, config.settings = str(run_dir), (f"--config.dataset={dataset}", *SIZES)
        (place / "job").write_text(submit.job(config))
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        environment = outside() | {
            "SLURM_SUBMIT_DIR": str(place),
            "SLURM_JOB_ID": "7",
            "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
            "DEXGEN_DISTRIBUTED": "1",
            "JAX_NUM_PROCESSES": "2",
            "JAX_COORDINATOR_ADDRESS": address,
        }
        return ["bash", str(place / "job")], environment, place

    return job


def said(place):
    """What the two tasks have said at their ends."""
    return "".join((place / f"out.{task}").read_text()[-3000:] for task in range(2))


@pytest.mark.slow
def test_two_processes_of_the_slurm_job_learn_what_one_learns_alone(dataset, tmp_path, slurm):
    script, environment, place = slurm(tmp_path / "two")
    done = processes.run(script, env=environment, cwd=place)
    assert done.returncode == 0, said(place)
    assert '"steps": 40' in (place / "out.0").read_text() and '"steps"' not in (place / "out.1").read_text()
    lines = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 4  # one for each call: the other process writes none

    processes.run(command(tmp_path / "one", dataset), env=outside())
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_slurm_job_of_which_one_task_hears_sigterm_is_requeued_and_goes_on(tmp_path, slurm):
    """The steps are long, so that the signal comes in the midst of them; the checkpoint is none that was due."""
    script, environment, place = slurm(tmp_path / "run")
    text = (place / "job").read_text().replace("recipe.steps=40", "recipe.steps=4000").replace("every=10", "every=4000")
    (place / "job").write_text(text)
    with processes.started(script, env=environment, cwd=place) as job:
        while not (lines := tmp_path / "run" / "metrics.jsonl").exists() or not lines.read_text():
            assert job.poll() is None, said(place)
            time.sleep(0.05)
        os.kill(int((place / "last").read_text()), signal.SIGTERM)
        job.wait()
    assert job.returncode == 75, said(place)
    assert said(place).count("stopped by SIGTERM; the same command continues") == 2
    assert (place / "requeued").read_text() == "requeue 7\n"
    (step,) = (int(path.name) for path in (tmp_path / "run" / "controller" / "checkpoints").iterdir())
    assert 0 < step < 4000
    script, environment, place = slurm(tmp_path / "run")
    (place / "job").write_text(text)
    with processes.started(script, env=environment, cwd=place) as job:
        while f'"step": {step + 10}' not in lines.read_text():
            assert job.poll() is None, said(place)
            time.sleep(0.05)
        os.kill(int((place / "last").read_text()), signal.SIGTERM)
        job.wait()
    assert [json.loads(line)["step"] for line in lines.read_text().splitlines()][: step // 10 + 1] == list(
        range(10, step + 11, 10)
    )


@pytest.mark.slow
def test_a_training_killed_at_any_moment_goes_on_to_the_same_bits(dataset, tmp_path):
    """Streaming, so that the place of reading has to be found again too."""
    tight = "--config.memory_gb=0.00021"
    processes.run(command(tmp_path / "whole", dataset, tight), env=outside())
    killed = tmp_path / "killed"
    for step, how, code in ((10, signal.SIGKILL, -signal.SIGKILL), (30, signal.SIGTERM, 75)):
        with processes.started(command(killed, dataset, tight), env=outside()) as process:
            while not (killed / "controller" / "checkpoints" / str(step)).exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(how)
            process.wait()
        assert process.returncode in (code, 0)  # 0: it was quicker
    processes.run(command(killed, dataset, tight), env=outside())
    whole, resumed = weights(tmp_path / "whole"), weights(killed)
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)
    assert '"streamed": true' in (killed / "controller" / "result.json").read_text()
