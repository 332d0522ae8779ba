"""Laws: an expert is used and shown in the task it was trained in, and to show it leaves its training alone."""

import types
from pathlib import Path

import command_line
import expert_files
import numpy as np
import pytest
from fake_env import FakeEnv
from ml_collections import ConfigDict

from dexgen_jax.experts.lookahead import Lookahead, LookaheadConfig
from dexgen_jax.run_log import RunLog

CONFIGS = Path(expert_files.__file__).parent / "configs"
ENV = {"action_scale": 0.2, "episode_steps": 200, "randomization": {"mass": [0.1, 0.2]}}


@pytest.fixture
def expert(monkeypatch):
    """An expert that pushes all joints on, found in whatever folder."""
    push = lambda obs: 0.5 + 0 * obs["state"]
    found = types.SimpleNamespace(config={"env": ENV}, hand_name="allegro", history=3, task="fine_rotation", act=push)
    monkeypatch.setattr(expert_files.Expert, "from_pretrained", lambda folder: found)
    return found


def test_the_task_is_the_experts_own_but_for_the_changes(expert):
    config = ConfigDict({"run_dir": "x", "expert": "x", "seed": 1, "env": {"randomization": {"kp": (1.0, 1.0)}}})
    _, merged = expert_files.load_expert(config)
    assert merged.env.action_scale == 0.2 and merged.seed == 1
    assert merged.network.history == 3 and merged.task == "fine_rotation"
    assert merged.env.randomization.to_dict() == {"mass": [0.1, 0.2], "kp": (1.0, 1.0)}


@pytest.mark.parametrize("task, hold_steps", [("anygrasp", 8), ("fine_rotation", 3)])
def test_an_evaluation_says_when_a_goal_counts_not_the_experts_training(expert, task, hold_steps):
    expert.task, expert.config = task, {"env": ENV | {"hold_steps": 3}}
    for name in ("evaluate_expert", "evaluate_assist", "figure8"):
        config = command_line.load(f"{CONFIGS}/{name}.py:smoke", CONFIGS)
        config.expert = "x"
        _, merged = expert_files.load_expert(config)
        assert (merged.env.hold_steps, merged.env.episode_steps) == (hold_steps, 100_000)


@pytest.mark.parametrize("name", ["evaluate_expert", "evaluate_assist", "figure8", "collect_dataset"])
def test_an_expert_looks_ahead_only_if_the_config_says_so(expert, monkeypatch, name):
    config = command_line.load(f"{CONFIGS}/{name}.py:smoke", CONFIGS)
    config.expert, expert.has_critic, expert.task, env = "x", True, "anygrasp", FakeEnv()
    monkeypatch.setattr(expert_files, "build_env", lambda config: env)
    made = lambda: (
        expert_files.load_task("anygrasp", config)[0] if "tasks" in config else expert_files.expert_env(config)
    )
    assert made() is env
    assert LookaheadConfig(regrasps=True).looks and not LookaheadConfig().looks
    config.lookahead.candidates, config.lookahead.horizon = 3, 6
    ahead = made()
    assert isinstance(ahead, Lookahead) and ahead.env is env and ahead.expert is expert
    assert (ahead.plans.candidates, ahead.plans.horizon, ahead.plans.commit) == (3, 6, 4)
    assert ahead.config is env.config  # what callers ask for is the task's own
    if "tasks" in config:  # each task's settings are its own
        expert.task, config.fine_rotation.expert = "fine_rotation", "x"
        assert expert_files.load_task("fine_rotation", config)[0] is env


def test_what_the_run_folder_has_not_made_yet_is_asked_for(tmp_path):
    config = ConfigDict({"run_dir": str(tmp_path), "expert": "run"})
    with pytest.raises(FileNotFoundError, match="has no expert yet: make it there first, .* or say --config.expert=sh"):
        expert_files.load_expert(config)


def test_a_task_comes_with_the_one_that_masters_it(expert, monkeypatch):
    monkeypatch.setattr(expert_files, "build_env", lambda config: config.to_dict())
    settings = {"run_dir": "x", "expert": "mine", "objects": "cubes", "env": {}}
    config = ConfigDict(settings | {"fine_rotation": {"expert": "y", "objects": "rods"}}).lock()
    env, act, stage = expert_files.load_task("fine_rotation", config)
    assert (env["task"], env["objects"], stage.objects, stage.expert) == ("fine_rotation", "rods", "rods", "y")
    assert act is expert.act
    env, act, stage = expert_files.load_task("free_motion", config)
    assert (env["task"], stage.objects, act) == ("free_motion", "cubes", expert_files.free_motion.follow)
    with pytest.raises(ValueError, match="the expert 'mine' masters fine_rotation, not anygrasp: name another"):
        expert_files.load_task("anygrasp", config)
    with pytest.raises(ValueError, match="no task named 'juggle'; there are: anygrasp, fine_rotation, free_motion"):
        expert_files.load_task("juggle", config)


def test_playing_films_one_environment_without_a_time_limit(expert, monkeypatch, tmp_path):
    built, filmed = [], []
    env = FakeEnv(reach=0.3, goal_steps=2)
    monkeypatch.setattr(expert_files, "build_env", lambda config: built.append(config) or env)
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    monkeypatch.setattr(expert_files.film, "compare", lambda *args: filmed.append(args) or frames)
    settings = {"run_dir": str(tmp_path), "expert": "x", "seed": 1, "eval_steps": 12, "env": {"episode_steps": 9}}
    config = ConfigDict(settings).lock()
    result = expert_files.play(config, RunLog(tmp_path, "play"))
    # 0.5 of the scale 0.15 rad: |q - start| = 0.365 > 0.3 after the 5th action, so of 12 two drop; goals at 2 and 4.
    assert (result["seconds"], result["drops"], result["goals"]) == (1.2, 2, 5)
    assert built[0].env.to_dict() == ENV | {"episode_steps": 100_000}
    scene, traces, shown, look = filmed[0]
    assert scene == "scene" and traces["expert"].q.shape == (12, 16, 16) and (shown, look.seconds) == (0, 1.2)
    assert result["film"] == tmp_path / "play" / "expert.mp4" and result["film"].stat().st_size > 0
