"""Laws: every stage refuses, before it does anything, what was made with another hand, and names both."""

import contextlib
import json
import shutil
import types

import anygrasp_ppo
import artefacts
import collect_dataset
import describe_dataset
import evaluate_assist
import evaluate_expert
import expert_files
import export_controller
import export_dataset
import fake_streams
import figure8
import grow_grasps
import launch
import numpy as np
import pipeline
import pytest
import serve
import teleoperate
import train_controller
import view
import view_session
from command_line import load as load_config
from ml_collections import ConfigDict

from dexgen_jax import envs, pretrained
from dexgen_jax.controller.controller import Controller
from dexgen_jax.dataset import store
from dexgen_jax.envs import registry as tasks
from dexgen_jax.experts.networks import Expert
from dexgen_jax.hand import allegro, leap
from dexgen_jax.run_log import RunLog

CONFIGS = launch.Path(launch.__file__).parent / "configs"
BOTH = "allegro'.*asked for 'leap'"


@pytest.fixture
def run_dir(tmp_path):
    """A run folder that holds Allegro's grasps, expert, recordings and controller."""
    (tmp_path / "grasps").mkdir()
    for name in ("cube_55", "sphere_64", "cylinder_56_60"):
        shutil.copy(pretrained.path("grasps") / f"{name}.npz", tmp_path / "grasps")
    for kind in ("expert", "controller"):
        shutil.copytree(pretrained.path(kind, pretrained.KINDS[kind]), tmp_path / kind)
    store.create(tmp_path / "dataset", allegro.load(), store.Layout(1, 24, 20), {"control_hz": 10.0}).write(
        0, fake_streams.columns(24, 20)
    )
    return tmp_path


def of_leap(script, run_dir, **changes) -> ConfigDict:
    config = load_config(f"{CONFIGS}/{script}.py:smoke", CONFIGS)
    with config.unlocked(), config.ignore_type():
        config.update({"run_dir": str(run_dir), "hand": "leap", **changes})
    return config


@pytest.mark.parametrize(
    "script, changes",
    [
        (grow_grasps, {}),
        (anygrasp_ppo, {}),
        (anygrasp_ppo, {"grasps": "made up", "start_from": "expert"}),
        (collect_dataset, {}),
        (describe_dataset, {}),
        (export_dataset, {}),
        (train_controller, {}),
        (evaluate_assist, {}),
        (evaluate_expert, {}),
        (figure8, {"controller": "run"}),
        (export_controller, {"controller": "run"}),
        (serve, {"controller": "run"}),
        (teleoperate, {"controller": "run"}),
        (view, {"dataset": "run", "controller": "run"}),
    ],
)
def test_a_stage_refuses_what_is_of_another_hand(script, changes, run_dir, monkeypatch):
    name = script.__name__
    if "start_from" in changes:  # an expert to go on from; the grasps are those of the right hand
        changes = {**changes, "start_from": str(run_dir / "expert")}
        env = types.SimpleNamespace(action_size=16, config=types.SimpleNamespace(episode_steps=9))
        loop = types.SimpleNamespace(create=lambda key: None)
        monkeypatch.setattr(anygrasp_ppo, "build_env", lambda config: env)
        monkeypatch.setattr(anygrasp_ppo.training, "on", lambda *_: loop)
    if script is view:
        monkeypatch.setattr(view, "check", lambda config: ("127.0.0.1", 0, None))  # needs the extra `viz`
    with pytest.raises(ValueError, match=BOTH):
        script.run(of_leap(name, run_dir, **changes), RunLog(run_dir, "test"))


def test_each_thing_that_a_viewer_takes_is_of_its_hand(run_dir):
    """One of them at a time; the others are LEAP's own, or not asked for."""
    (run_dir / "rows.jsonl").write_text(json.dumps({"operator": "clean", "helper": "alone", "strength": None}) + "\n")
    for kind, value in (("dataset", "run"), ("evaluation", str(run_dir))):
        with pytest.raises(ValueError, match=BOTH):
            view_session.kept(of_leap("view", run_dir, **{kind: value}), leap.load())
    with pytest.raises(ValueError, match=BOTH):
        view_session.build_session(of_leap("view", run_dir, controller="run"))
    with pytest.raises(ValueError, match=BOTH):
        artefacts.expert(of_leap("view", run_dir, expert="run"))


def test_a_film_is_of_an_expert_of_the_hand(run_dir):
    with pytest.raises(ValueError, match=BOTH):
        expert_files.play(of_leap("anygrasp_ppo", run_dir, expert="run"), RunLog(run_dir, "film"))


def test_a_chain_refuses_an_expert_of_another_hand_before_it_grows_grasps(run_dir, tmp_path):
    config = of_leap("pipeline", tmp_path / "fresh", expert=str(run_dir / "expert"))
    with pytest.raises(ValueError, match=BOTH):
        pipeline.run(config, RunLog(tmp_path / "fresh", "test"))
    assert not (tmp_path / "fresh" / "grasps").exists()


def test_recordings_are_not_added_to_those_of_another_hand(run_dir, monkeypatch):
    env = types.SimpleNamespace(hand=leap.load(), engine=types.SimpleNamespace(compiler_options=None))
    stage = ConfigDict({"objects": "cube_55", "env": {}})
    monkeypatch.setattr(collect_dataset, "load_task", lambda task, config: (env, None, stage))
    with pytest.raises(ValueError, match="holds a dataset made otherwise: its hand is allegro, now it is leap"):
        collect_dataset.run(of_leap("collect_dataset", run_dir), RunLog(run_dir, "test"))


def test_a_log_joins_recordings_of_its_hand_alone(run_dir, tmp_path):
    store.create(tmp_path / "own", leap.load(), store.Layout(1, 24, 20), {"control_hz": 10.0}).write(
        0, fake_streams.columns(24, 20)
    )
    config = of_leap("train_controller", run_dir, dataset=str(tmp_path / "own"), also=str(run_dir / "dataset"))
    with pytest.raises(ValueError, match=BOTH):
        train_controller.run(config, RunLog(run_dir, "test"))


def test_a_client_refuses_a_server_of_another_hand(tmp_path, monkeypatch):
    server = types.SimpleNamespace(describe=lambda: {"hand": "allegro"})
    monkeypatch.setattr(teleoperate, "Client", lambda *_, **__: contextlib.nullcontext(server))
    with pytest.raises(ValueError, match=BOTH):
        teleoperate.run(of_leap("teleoperate", tmp_path, server="tcp://127.0.0.1:5555"), RunLog(tmp_path, "test"))


def test_what_is_recorded_and_what_it_is_recorded_with_are_of_one_hand(run_dir):
    config = of_leap("collect_dataset", run_dir)
    with pytest.raises(ValueError, match=BOTH):
        expert_files.load_task("anygrasp", config)
    with pytest.raises(ValueError, match=BOTH):
        expert_files.load_task("free_motion", config)


def test_environments_and_controllers_are_of_the_hand_that_is_asked_for(run_dir):
    with pytest.raises(ValueError, match=BOTH):
        envs.load("anygrasp", "cube_55", run_dir / "grasps", hand="leap")
    with pytest.raises(ValueError, match=BOTH):
        artefacts.controller(of_leap("serve", run_dir, controller="run"))
    for made in (Expert, Controller):  # in Python as in the scripts
        with pytest.raises(ValueError, match=BOTH):
            made.from_pretrained(run_dir / made.__name__.lower(), hand=leap.load())
    assert Expert.from_pretrained(hand=leap.load()).hand_name == "leap"
    assert Controller.from_pretrained(hand=leap.load()).model.hand_name == "leap"
    assert artefacts.hand(ConfigDict()).name == "allegro"  # what was made before there was a choice


def test_a_left_hand_takes_the_expert_of_its_right_one_and_of_no_other(run_dir):
    found = artefacts.expert(of_leap("evaluate_expert", run_dir, hand="allegro_left"))
    plain = artefacts.expert(of_leap("evaluate_expert", run_dir, hand="allegro"))
    assert (found.hand_name, plain.hand_name) == ("allegro_left", "allegro")
    # Behind 48 numbers of joints it sees its fingertips, whose y changes sign.
    mean, same = np.asarray(found.stats["state"].mean), np.asarray(plain.stats["state"].mean)
    np.testing.assert_array_equal(mean[48:60], np.tile([1, -1, 1], 4) * same[48:60])
    with pytest.raises(ValueError, match="allegro'.*asked for 'leap_left'"):
        artefacts.expert(of_leap("evaluate_expert", run_dir, hand="leap_left"))


def test_an_engine_and_a_library_of_two_hands_are_no_environment():
    engine, library = types.SimpleNamespace(hand=allegro.load()), types.SimpleNamespace(hand_name="leap")
    with pytest.raises(ValueError, match="the grasp library is of hand 'leap', asked for 'allegro'"):
        tasks.make("anygrasp", engine=engine, library=library)


def test_what_ships_is_found_by_hand(monkeypatch, tmp_path):
    for name in ("leap_grasps", "leap_anygrasp_expert", "grasps", "anygrasp_expert"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(pretrained, "ROOT", tmp_path)
    assert pretrained.find("grasps", "shipped", hand="leap") == tmp_path / "leap_grasps"
    assert pretrained.find("expert", "shipped", hand="leap") == tmp_path / "leap_anygrasp_expert"
    assert pretrained.find("expert", "shipped") == tmp_path / "anygrasp_expert"
    assert pretrained.find("grasps", "shipped:leap") == tmp_path / "leap_grasps"
    with pytest.raises(FileNotFoundError, match="the package brings no controller of the hand 'leap'"):
        pretrained.find("controller", "shipped", hand="leap")


def test_a_run_from_before_hands_had_names_goes_on(tmp_path):
    folder = RunLog(tmp_path, "grasps").folder
    config = load_config(f"{CONFIGS}/grow_grasps.py:smoke", CONFIGS)
    old = ConfigDict({key: value for key, value in config.to_dict().items() if key != "hand"})
    launch.record(old, folder)
    launch.record(config, folder)
    config.hand = "leap"
    with pytest.raises(ValueError, match="was begun with hand = 'allegro', and now it is 'leap'"):
        launch.record(config, folder)
