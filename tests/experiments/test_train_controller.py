import json
import shutil
from pathlib import Path

import fake_streams
import launch
import numpy as np
import pytest
import train_controller

from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.controller.controller import Controller
from dexgen_jax.dataset import store
from dexgen_jax.hand import allegro

CONFIG = Path(train_controller.__file__).parent / "configs" / "train_controller.py"
TINY = [
    *("--config.model.width=16", "--config.model.encoder_width=16", "--config.model.inverse_width=16"),
    *("--config.model.sampling_steps=2", "--config.recipe.steps=60", "--config.recipe.batch=32"),
    *("--config.steps_per_call=20", "--config.checkpoint_every=20", "--config.held_out_windows=64"),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    writer = store.create(folder, allegro.load(), store.Layout(1, 24, 100), {"control_hz": 10.0})
    writer.write(0, fake_streams.columns(24, 100))
    return folder


def _train(run_dir, dataset, *more):
    argv = ["train_controller.py", f"--config={CONFIG}:smoke", *TINY]
    launch.main(train_controller.run, [*argv, f"--config.run_dir={run_dir}", f"--config.dataset={dataset}", *more])


def test_a_missing_dataset_and_one_too_small_are_one_clear_line(dataset, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit):
        _train(tmp_path / "run", tmp_path / "empty")
    assert "no dataset in" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        _train(tmp_path / "other", dataset, "--config.drop_seconds=2.0", "--config.model.history=99")
    assert "no window of 101 rows fits" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        _train(tmp_path / "third", dataset, "--config.held_out=0.99")
    assert "24 streams: too few to hold 24 of them out" in capsys.readouterr().err


def _die_after_a_save(patch):
    save = Checkpoints.save

    def save_and_die(self, step, tree):
        save(self, step, tree)
        raise KeyboardInterrupt

    patch.setattr(Checkpoints, "save", save_and_die)


@pytest.mark.slow
def test_a_killed_training_continues_to_the_same_controller_while_its_dataset_grows(tmp_path, capsys, monkeypatch):
    """Split and statistics belong to the run."""
    folder = tmp_path / "dataset"
    writer = store.create(folder, allegro.load(), store.Layout(3, 24, 100), {"control_hz": 10.0})
    writer.write(1, fake_streams.columns(24, 100, seed=1))
    _train(tmp_path / "whole", folder)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["steps"] == 60 and 0 < result["action_error_rad"] < 2 * result["action_error_of_holding_rad"]
    whole = Controller.from_pretrained(tmp_path / "whole" / "controller")
    np.testing.assert_allclose(whole.weights.action_std, result["action_error_of_samples_rad"], rtol=1e-6)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        _die_after_a_save(patch)
        _train(tmp_path / "killed", folder)
    assert Checkpoints(tmp_path / "killed" / "controller" / "checkpoints").latest_step() == 20
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        _die_after_a_save(patch)
        _train(tmp_path / "grown", folder)
    split = json.loads((tmp_path / "killed" / "controller" / "data" / "config.json").read_text())["config"]
    for block in (0, 2):  # a block before those it knows, and one behind
        writer.write(block, fake_streams.columns(24, 100, seed=block))

    capsys.readouterr()
    _train(tmp_path / "killed", folder)
    output = capsys.readouterr()
    assert "has 48 streams more than when this training began; it goes on without them" in output.err
    whole, killed = (dict(np.load(tmp_path / name / "controller" / "weights.npz")) for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], killed[name])
    assert Controller.from_pretrained(tmp_path / "killed" / "controller").model.width == 16

    _train(tmp_path / "grown", folder, "--config.take_new_streams=True")
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["windows"] > 2 * json.loads(output.out.splitlines()[-1])["windows"]
    kept = json.loads((tmp_path / "grown" / "controller" / "data" / "config.json").read_text())["config"]
    assert kept["held_out"] == split["held_out"] and set(kept["blocks"]) == {"0", "1", "2"}
    grown = dict(np.load(tmp_path / "grown" / "controller" / "weights.npz"))
    np.testing.assert_array_equal(grown["normalizer/condition_mean"], whole["normalizer/condition_mean"])


@pytest.mark.parametrize("block, words", [(0, "block 0 is another now"), (None, "block 0 is gone")])
def test_a_training_refuses_to_go_on_with_another_dataset(block, words, tmp_path, capsys, monkeypatch):
    def make(folder, block, seed):
        writer = store.create(folder, allegro.load(), store.Layout(2, 24, 100), {"control_hz": 10.0})
        writer.write(block, fake_streams.columns(24, 100, seed=seed))

    folder = tmp_path / "dataset"
    make(folder, 0, seed=0)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        _die_after_a_save(patch)
        _train(tmp_path / "run", folder)
    shutil.rmtree(folder)
    make(folder, 1 if block is None else block, seed=5)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        _train(tmp_path / "run", folder)
    assert words in capsys.readouterr().err
