"""Several processes train one controller, started by the SLURM script's own line; killed ones come to the same bits."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import fake_streams
import jax
import launch
import numpy as np
import processes
import pytest

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
wait -n && wait -n
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


@pytest.mark.slow
def test_two_processes_of_the_slurm_script_learn_what_one_learns_alone(dataset, tmp_path):
    place = tmp_path / "place"
    (place / ".venv/bin").mkdir(parents=True)
    (place / "bin").mkdir()
    (place / "experiments").symlink_to(EXPERIMENTS)
    for path, text in (
        (place / "bin/srun", SRUN),
        (place / ".venv/bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        path.write_text(text)
        path.chmod(0o755)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = outside() | {
        "SLURM_SUBMIT_DIR": str(place), "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "DEXGEN_DISTRIBUTED": "1",
        "JAX_NUM_PROCESSES": "2", "JAX_COORDINATOR_ADDRESS": address,
    }  # fmt: skip
    script = ["bash", str(EXPERIMENTS / "cluster" / "slurm.sh"), "train_controller", str(tmp_path / "two")]
    done = processes.run([*script, f"--config.dataset={dataset}", *SIZES], env=environment, cwd=place)
    said = "".join((place / f"out.{task}").read_text()[-3000:] for task in range(2))
    assert done.returncode == 0, said
    assert '"steps": 40' in (place / "out.0").read_text() and '"steps"' not in (place / "out.1").read_text()
    lines = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 4  # one for each call: the other process writes none

    processes.run(command(tmp_path / "one", dataset), env=outside())
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_training_killed_at_any_moment_goes_on_to_the_same_bits(dataset, tmp_path):
    """Streaming, so that the place of reading has to be found again too."""
    tight = "--config.memory_gb=0.00021"
    processes.run(command(tmp_path / "whole", dataset, tight), env=outside())
    killed = tmp_path / "killed"
    for step in (10, 30):
        with processes.started(command(killed, dataset, tight), env=outside()) as process:
            while not (killed / "controller" / "checkpoints" / str(step)).exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
    processes.run(command(killed, dataset, tight), env=outside())
    whole, resumed = weights(tmp_path / "whole"), weights(killed)
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)
    assert '"streamed": true' in (killed / "controller" / "result.json").read_text()
