"""Laws of the chain, with toy stages: each once, in order, resumed after a kill; settings reach their own stage.

The chain with its real stages is run at smoke size elsewhere.
"""

import json
import shutil
import sys
import types
from pathlib import Path

import command_line
import launch
import pipeline
import pytest

EXPERIMENTS = Path(launch.__file__).parent
CONFIG = """
from ml_collections import ConfigDict

def get_config(size="laptop"):
    own = dict(run_dir="runs/stage", hand="allegro", seed=-1, expert="run", grasps="run", play=False)
    return ConfigDict(dict(own, size=size, kill=False, wrong=False))
"""


class Killed(BaseException):
    """Stands for kill -9: nothing catches it. Real kills fall on the chain with its real stages."""


def toy_stage(config, log):
    with open(log.run_dir / "begun", "a") as file:
        file.write(log.stage + " ")
    half = log.folder / "half"
    if config.kill and not half.exists():
        half.touch()
        raise Killed
    if config.wrong:
        raise ValueError("3 grasps are too few")
    own = {name: config[name] for name in ("seed", "expert", "grasps", "size")}
    return {**own, "continued": half.exists()}


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The real pipeline.py with toy stages; calling it runs the command, and gives its code and what it said."""
    _toy_configs(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "")  # the tests keep their own JAX settings
    for script in launch.STAGES:
        monkeypatch.setitem(sys.modules, script, types.SimpleNamespace(run=toy_stage))

    def of(*arguments: str, size: str = "smoke") -> types.SimpleNamespace:
        command = ["pipeline.py", f"--config=configs/pipeline.py:{size}", "--config.run_dir=run", *arguments]
        code, _ = 0, capsys.readouterr()
        try:
            launch.main(pipeline.run, command, again=True)
        except (Killed, SystemExit) as stopped:
            code = getattr(stopped, "code", "killed")
        said = capsys.readouterr()
        return types.SimpleNamespace(code=code, stdout=said.out, stderr=said.err)

    return of


def test_each_stage_once_in_order_and_the_last_line_combines_them(call, tmp_path):
    done = call("--config.seed=7", "--config.train_controller.size=mine")
    assert done.code == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(launch.STAGES)
    assert all(" min " in line for line in lines)
    results = json.loads(last)
    assert list(launch.STAGES.values()) == [key for key in results if key != "minutes"]
    assert all(results[folder]["seed"] == 7 for folder in launch.STAGES.values())
    assert (results["controller"]["size"], results["dataset"]["size"]) == ("mine", "smoke")
    assert (tmp_path / "run" / "begun").read_text().split() == list(launch.STAGES.values())


def test_after_a_kill_in_each_stage_the_same_command_continues(call, tmp_path):
    kills = [f"--config.{script}.kill=True" for script in launch.STAGES]  # each dies once, half-way
    for _ in launch.STAGES:
        assert call(*kills).code == "killed"
    done = call(*kills)
    assert done.code == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert all(results[folder]["continued"] for folder in launch.STAGES.values())
    begun = (tmp_path / "run" / "begun").read_text()
    assert begun == "".join(f"{folder} {folder} " for folder in launch.STAGES.values())  # none after it was done
    again = call(*kills)
    assert (tmp_path / "run" / "begun").read_text() == begun
    assert again.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]


def test_an_error_in_a_stage_is_one_line_and_exit_code_2(call, tmp_path):
    done = call("--config.collect_dataset.wrong=True")
    assert (done.code, done.stderr) == (2, "error: 3 grasps are too few\n")
    assert not (tmp_path / "run" / "controller").exists()


def test_a_run_folder_of_other_inputs_or_another_config_is_refused(call, tmp_path):
    call()
    shutil.rmtree(tmp_path / "run" / "dataset")
    done = call()
    assert done.code == 2
    assert "run/controller is done but run/dataset, which it was made from, is not: delete run" in done.stderr
    done = call("--config.collect_dataset.size=other")
    assert done.code == 2
    assert "run/pipeline was begun with collect_dataset.size = 'smoke', and now it is 'other'" in done.stderr


def test_a_later_stage_begun_with_other_settings_is_refused_before_the_first(call, tmp_path):
    call("--config.train_controller.kill=True")
    begun = (tmp_path / "run" / "begun").read_text()
    shutil.rmtree(tmp_path / "run" / "grasps")
    shutil.rmtree(tmp_path / "run" / "pipeline")
    done = call("--config.train_controller.kill=True", "--config.train_controller.size=other")
    assert done.code == 2
    assert "run/controller was begun with size = 'smoke', and now it is 'other'" in done.stderr
    assert (tmp_path / "run" / "begun").read_text() == begun


def test_settings_the_pipeline_would_overwrite_do_not_exist(call):
    done = call("--config.grow_grasps.seed=3")
    assert done.code == 2 and "unknown config key 'grow_grasps.seed'" in done.stderr


def test_an_expert_from_elsewhere_takes_the_place_of_training(tmp_path):
    config = command_line.load(f"{_toy_configs(tmp_path)}/pipeline.py:laptop", tmp_path)
    assert (config.grasps, config.expert) == ("shipped", "shipped")
    stages = pipeline.stage_configs(config)
    assert list(stages) == ["collect_dataset", "train_controller", "evaluate_assist"]
    assert all((stage.grasps, stage.expert) == ("shipped", "shipped") for stage in stages.values())  # where it has one
    with config.unlocked():
        config.collect_dataset.expert = "runs/mine/expert"
    assert pipeline.stage_configs(config)["collect_dataset"].expert == "runs/mine/expert"
    config.grasps = "run"
    assert list(pipeline.stage_configs(config)) == [script for script in launch.STAGES if script != "anygrasp_ppo"]
    config.expert = "run"
    assert list(pipeline.stage_configs(config)) == list(launch.STAGES)
    config.expert = str(tmp_path / "clever")
    with pytest.raises(FileNotFoundError, match="no expert in .*clever; make it here with --config.expert=run"):
        pipeline.stage_configs(config)


def test_grasps_from_elsewhere_take_the_place_of_growing(call):
    done = call("--config.grasps=shipped")
    assert done.code == 0, done.stderr
    assert "grow_grasps                 grasps shipped, nothing to make" in done.stdout
    results = json.loads(done.stdout.splitlines()[-1])
    assert results["grasps"]["taken"] == "shipped" and results["expert"]["grasps"] == "shipped"


def _toy_configs(folder: Path) -> Path:
    configs = folder / "configs"
    configs.mkdir()
    shutil.copy(EXPERIMENTS / "configs" / "pipeline.py", configs)
    for script in launch.STAGES:
        (configs / f"{script}.py").write_text(CONFIG)
    return configs
