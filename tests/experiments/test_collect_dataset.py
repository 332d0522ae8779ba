import collect_dataset
import dataset_files
import numpy as np
import pytest
from fake_env import FakeEnv
from ml_collections import ConfigDict

from dexgen_jax.controller.model import MODES
from dexgen_jax.dataset import store
from dexgen_jax.envs import registry
from dexgen_jax.hand import allegro
from dexgen_jax.run_log import RunLog

HAND = allegro.load()
OWN = {"anygrasp": "cube_55,sphere_64", "fine_rotation": "rod_30_150,rod_36_110"}  # objects of each task


def _dataset(folder):
    """Two blocks of one stream of 50 rows; the second one drops at row 29, is disturbed at row 3 and wins at row 40."""
    flags = np.zeros((2, 1, 50), np.uint8)
    flags[:, :, 0] = store.FIRST
    flags[1, 0, [3, 29, 40]] = store.PERTURBED, store.DROP, store.SUCCESS
    flags[1, 0, 30] = store.FIRST
    made = {"control_hz": 10.0, "objects": ["cube_55", "sphere_64"], "provenance": {"seed": 7}}
    writer = store.create(folder, HAND, store.Layout(2, 1, 50), made)
    for block in range(2):
        zeros = {name: np.zeros((1, 50, *c.shape), c.dtype) for name, c in store.columns(HAND).items()}
        zeros["q"][0, 5, 2] = 200 * block
        zeros["privileged/object_index"][0, 25:] = block
        writer.write(block, zeros | {"flags": flags[block]})
    return store.open_dataset(folder)


def test_the_result_counts_what_is_stored_and_the_card_says_it(tmp_path):
    dataset = _dataset(tmp_path / "data")
    found = dataset_files.describe(dataset, HAND, 2.0, tmp_path)
    assert (found["transitions"], found["drops"], found["goals"], found["invalid"]) == (100, 1, 1, 0)
    assert found["seconds_per_drop"] == pytest.approx(10.0) and found["disturbed"] == 0.01
    # All 50 of block 0; in block 1 all but rows 10 .. 29, the last 20 of the episode that dropped.
    assert found["kept"] == pytest.approx((50 + 30) / 100)
    assert found["modes"] == {"default": 1.0} and found["objects"] == {"cube_55": 0.75, "sphere_64": 0.25}
    assert found["hours"] == pytest.approx(100 / 36000) and found["episodes"] == 3
    assert found["joints_rad"][HAND.joint_names[2]] == [0.0, 0.02]
    files = [path for path in (tmp_path / "data").rglob("c/**/*") if path.is_file()]
    assert found["bytes_per_transition"] == sum(path.stat().st_size for path in files) / 100
    card = (tmp_path / "data" / "README.md").read_text()
    assert "| drops | 1, one in 10.0 s |" in card and "| sphere_64 | 25.0% |" in card and '"seed": 7' in card
    assert (tmp_path / "data" / "shares.png").exists() and (tmp_path / "data" / "joints.png").exists()


def test_every_task_has_a_mode_that_controllers_know():
    assert registry.MODES.keys() == registry.TASKS.keys() and set(registry.MODES.values()) <= set(MODES)


def test_blocks_take_the_tasks_in_turn_and_every_row_says_which(monkeypatch, tmp_path):
    def load_task(task, config):
        act = lambda obs: 0.5 + 0 * obs["state"]
        return FakeEnv(), act, ConfigDict({"objects": OWN[task], "env": {"task": task}})

    monkeypatch.setattr(collect_dataset, "load_task", load_task)
    settings = {
        "run_dir": str(tmp_path), "seed": 3, "drop_seconds": 0.5, "tasks": tuple(OWN), "behaviour": {"noise": (0.0,)},
        "layout": {"blocks": 3, "streams": 2, "rows": 12}, "dataset": "run", "writer": 0, "writers": 1,
    }  # fmt: skip
    found = collect_dataset.run(ConfigDict(settings), RunLog(tmp_path, "dataset"))
    assert found["modes"] == {"default": 2 / 3, "precision_rotation": 1 / 3}
    dataset = store.open_dataset(tmp_path / "dataset", HAND)
    columns = dataset.read(["mode", "privileged/object_index"])
    np.testing.assert_array_equal(columns["mode"], np.repeat([0, 1, 0], 2)[:, None].repeat(12, 1))
    assert dataset.attributes["objects"] == ["cube_55", "sphere_64", "rod_30_150", "rod_36_110"]
    of_rods = columns["privileged/object_index"] >= 2
    np.testing.assert_array_equal(of_rods, columns["mode"] == 1)
    assert dataset.attributes["provenance"]["env"] == {task: {"task": task} for task in OWN}
