"""What a later stage would refuse, the chain refuses before its first: every error names setting, value and limit."""

from pathlib import Path

import command_line
import launch
import pipeline
import pytest
import settings

CONFIGS = Path(launch.__file__).parent / "configs"


def chain(**changes):
    """The configs of the stages of the whole chain at smoke size, with dotted settings changed."""
    config = command_line.load(f"{CONFIGS}/pipeline.py:smoke", CONFIGS)
    with config.unlocked(), config.ignore_type():
        config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
    return pipeline.stage_configs(config)


@pytest.mark.parametrize("size", command_line.SIZES)
def test_what_ships_is_accepted(size):
    settings.refuse_chain(pipeline.stage_configs(command_line.load(f"{CONFIGS}/pipeline.py:{size}", CONFIGS)))
    for path in CONFIGS.glob("*.py"):
        config = command_line.load(f"{path}:{size}" if path.stem != "fine_rotation" else str(path), CONFIGS)
        if path.stem != "pipeline":
            settings.refuse(config, path.stem)


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("seed", -1, "config.grow_grasps.seed is -1: it must be a whole number from 0"),
        ("seed", 2**32 + 5, "seed is 4294967301: it must be a whole number from 0"),
        ("run_dir", "s3://bucket/run", "files are written on this machine"),
        ("grow_grasps.objects", "cube_5", "grow_grasps: no object named 'cube_5'; nearest: cube_55"),
        ("grow_grasps.grasps_per_object", 0, "grasps_per_object is 0: it must be at least 1"),
        ("grow_grasps.growth.settle.squeeze", float("nan"), "squeeze is nan: it must be a finite number"),
        ("grow_grasps.engine", "mujoco", "no physics backend 'mujoco'; choose one of auto, native"),
        ("anygrasp_ppo.checkpoint_every", 0, "config.anygrasp_ppo.checkpoint_every is 0: it must be at least 1"),
        ("anygrasp_ppo.log_every", 0, "config.anygrasp_ppo.log_every is 0: it must be at least 1"),
        ("anygrasp_ppo.task", "anygrsp", "anygrasp_ppo: no task named 'anygrsp'"),
        ("anygrasp_ppo.ppo.minibatches", 7, "do not divide into 7 minibatches"),
        ("anygrasp_ppo.start_from", "nowhere", "start_from is 'nowhere', and there is no such file or folder"),
        ("anygrasp_ppo.env.randomization.gravity_angle", -1.0, "randomization.gravity_angle must lie in order"),
        ("anygrasp_ppo.graph.neighbours", 500, "neighbours is 500: it must be less than config.grow_grasps.grasps"),
        ("collect_dataset.lookahead.commit", 9, "commit is 9, and the horizon only 8 control steps"),
        ("collect_dataset.tasks", ("anygrasp", "walk"), "collect_dataset: no task named 'walk'"),
        ("collect_dataset.objects", "cube_60", "has 'cube_60', of which config.grow_grasps.objects has no grasps"),
        ("collect_dataset.layout.rows", 0, "config.collect_dataset.layout.rows is 0: it must be at least 1"),
        ("collect_dataset.behaviour.noise", (0.0, -1.0), "behaviour.noise is -1.0: it must be at least 0"),
        ("collect_dataset.expert", "nowhere", "config.collect_dataset.expert is 'nowhere'"),
        ("collect_dataset.expert", "shipped:me", "config.collect_dataset.expert: no shipped expert named 'me'; there"),
        ("collect_dataset.grasps", "", "config.collect_dataset.grasps: '' names no grasps: say 'shipped'"),
        ("anygrasp_ppo.start_from", "run", "config.anygrasp_ppo.start_from: 'run' names no expert: say 'shipped'"),
        ("train_controller.recipe.batch", 0, "config.train_controller.recipe.batch is 0: it must be at least 1"),
        ("train_controller.recipe.warmup", 300, "recipe.warmup is 300: it must be less than recipe.steps, 300"),
        ("train_controller.held_out", 1.5, "config.train_controller.held_out is 1.5: it must be from 0 to 1"),
        ("train_controller.steps_per_call", 0, "steps_per_call is 0: it must be at least 1"),
        ("train_controller.dataset", "nowhere", "config.train_controller.dataset is 'nowhere'"),
        ("evaluate_assist.operators", ("noisy 1.5", "drunk 1"), "evaluate_assist: no operator 'drunk 1'"),
        ("evaluate_assist.mode", "defualt", "evaluate_assist: no mode 'defualt'; there are: default"),
        ("evaluate_assist.strengths", (0.0,), "help needs a strength above 0"),
        ("evaluate_assist.temperature", 2.0, "temperature must be from 0 to 1, got 2"),
        ("evaluate_assist.listening.doubt_range", (0.0, 1.0), "listening needs 0 < doubt_range"),
        ("evaluate_assist.seconds", 0.01, "seconds is 0.01: it must be at least one control step"),
        ("evaluate_assist.film.operators", ("slow 1",), "cannot film 'slow 1'"),
        ("evaluate_assist.env.randomization", {"mas": (1, 2)}, "RandomizationConfig has no setting 'mas'; did you"),
        ("evaluate_assist.candidates", 0, "config.evaluate_assist.candidates is 0: it must be at least 1"),
    ],
)
def test_the_chain_refuses_at_its_start(name, value, words):
    with pytest.raises((ValueError, FileNotFoundError)) as refusal:
        settings.refuse_chain(chain(**{name: value}))
    assert words in str(refusal.value)


def test_nothing_is_begun_by_a_chain_that_is_refused(tmp_path, capsys):
    command = ["pipeline.py", f"--config={CONFIGS}/pipeline.py:smoke", f"--config.run_dir={tmp_path}/run"]
    with pytest.raises(SystemExit):
        launch.main(pipeline.run, [*command, "--config.train_controller.recipe.batch=0"], again=True)
    assert "recipe.batch is 0" in capsys.readouterr().err
    assert not (tmp_path / "run" / "grasps").exists()


def test_a_task_that_is_not_recorded_needs_no_expert_and_one_that_is_does():
    settings.refuse_chain(chain(collect_dataset__fine_rotation__expert="runs/nowhere"))
    with pytest.raises(FileNotFoundError, match="config.fine_rotation.expert is 'runs/nowhere'"):
        stages = chain(
            collect_dataset__tasks=("anygrasp", "fine_rotation"), collect_dataset__fine_rotation__expert="runs/nowhere"
        )
        settings.refuse_chain(stages)
