"""Laws of the chain, with toy stages: each once, in order, resumed after a kill; settings reach their own stage.

The chain with its real stages is run at smoke size elsewhere.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import launch
import pytest

EXPERIMENTS = Path(launch.__file__).parent
CONFIG = """
from ml_collections import ConfigDict

def get_config(size="laptop"):
    own = dict(run_dir="runs/stage", hand="allegro", seed=-1, expert="run", play=False)
    return ConfigDict(dict(own, size=size, kill=False, wrong=False))
"""
STAGE = """
import os, signal

def run(config, log):
    seen = {"seed": config.seed, "expert": config.expert, "size": config.size}
    with open(log.run_dir / "begun", "a") as file:
        file.write(log.stage + " ")
    half = log.folder / "half"
    if config.kill and not half.exists():
        half.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if config.wrong:
        raise ValueError("3 grasps are too few")
    return {**seen, "continued": half.exists()}
"""


@pytest.fixture
def pipeline(tmp_path):
    """The real pipeline.py beside toy stages; calling it runs the command."""
    shutil.copytree(EXPERIMENTS / "configs", tmp_path / "configs", ignore=lambda *_: ["__pycache__"])
    for name in ("launch.py", "command_line.py", "pipeline.py", "run_lock.py", "settings.py"):
        shutil.copy(EXPERIMENTS / name, tmp_path)
    for script in launch.STAGES:
        (tmp_path / f"{script}.py").write_text(STAGE)
        (tmp_path / "configs" / f"{script}.py").write_text(CONFIG)
    environment = {**os.environ, "PYTHONPATH": str(EXPERIMENTS.parent)}

    def call(*arguments: str, size: str = "smoke") -> subprocess.CompletedProcess:
        command = [sys.executable, "pipeline.py", f"--config=configs/pipeline.py:{size}", "--config.run_dir=run"]
        return subprocess.run([*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)

    return call


def test_each_stage_once_in_order_and_the_last_line_combines_them(pipeline, tmp_path):
    done = pipeline("--config.seed=7", "--config.train_controller.size=mine")
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(launch.STAGES)
    assert all(" min " in line for line in lines)
    results = json.loads(last)
    assert list(launch.STAGES.values()) == [key for key in results if key != "minutes"]
    assert all(results[folder]["seed"] == 7 for folder in launch.STAGES.values())
    assert (results["controller"]["size"], results["dataset"]["size"]) == ("mine", "smoke")
    assert (tmp_path / "run" / "begun").read_text().split() == list(launch.STAGES.values())


def test_after_kill_9_in_each_stage_the_same_command_continues(pipeline, tmp_path):
    kills = [f"--config.{script}.kill=True" for script in launch.STAGES]  # each dies once, half-way
    for _ in launch.STAGES:
        assert pipeline(*kills).returncode == -signal.SIGKILL
    done = pipeline(*kills)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert all(results[folder]["continued"] for folder in launch.STAGES.values())
    begun = (tmp_path / "run" / "begun").read_text()
    assert begun == "".join(f"{folder} {folder} " for folder in launch.STAGES.values())  # none after it was done
    again = pipeline(*kills)
    assert (tmp_path / "run" / "begun").read_text() == begun
    assert again.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]


def test_an_error_in_a_stage_is_one_line_and_exit_code_2(pipeline, tmp_path):
    done = pipeline("--config.collect_dataset.wrong=True")
    assert (done.returncode, done.stderr) == (2, "error: 3 grasps are too few\n")
    assert not (tmp_path / "run" / "controller").exists()


def test_a_run_folder_of_other_inputs_or_another_config_is_refused(pipeline, tmp_path):
    pipeline()
    shutil.rmtree(tmp_path / "run" / "dataset")
    done = pipeline()
    assert done.returncode == 2
    assert "run/controller is done but run/dataset, which it was made from, is not: delete run" in done.stderr
    done = pipeline("--config.collect_dataset.size=other")
    assert done.returncode == 2
    assert "run/pipeline was begun with collect_dataset.size = 'smoke', and now it is 'other'" in done.stderr


def test_settings_the_pipeline_would_overwrite_do_not_exist(pipeline):
    done = pipeline("--config.grow_grasps.seed=3")
    assert done.returncode == 2 and "unknown config key 'grow_grasps.seed'" in done.stderr


def test_an_expert_from_elsewhere_takes_the_place_of_training(tmp_path):
    import command_line
    import pipeline as module

    config = command_line.load(f"{_toy_configs(tmp_path)}/pipeline.py:laptop", tmp_path)
    assert config.expert == "shipped"
    stages = module.stage_configs(config)
    assert list(stages) == [script for script in launch.STAGES if script != "anygrasp_ppo"]
    assert {script for script, stage in stages.items() if stage.expert == "shipped"} == {
        "collect_dataset",
        "evaluate_assist",
    }
    with config.unlocked():
        config.collect_dataset.expert = "runs/mine/expert"
    assert module.stage_configs(config)["collect_dataset"].expert == "runs/mine/expert"
    config.expert = "run"
    assert list(module.stage_configs(config)) == list(launch.STAGES)
    config.expert = str(tmp_path / "clever")
    with pytest.raises(FileNotFoundError, match="no expert in .*clever; train one here with --config.expert=run"):
        module.stage_configs(config)


def _toy_configs(folder: Path) -> Path:
    configs = folder / "configs"
    configs.mkdir()
    shutil.copy(EXPERIMENTS / "configs" / "pipeline.py", configs)
    for script in launch.STAGES:
        (configs / f"{script}.py").write_text(CONFIG)
    return configs
