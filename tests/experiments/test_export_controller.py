from pathlib import Path

import command_line
import export_controller
import numpy as np
import pytest

from dexgen_jax.deploy.exported import Exported
from dexgen_jax.run_log import RunLog

EXPERIMENTS = Path(export_controller.__file__).parent


@pytest.fixture
def config(tmp_path):
    config = command_line.load(f"{EXPERIMENTS}/configs/export_controller.py", EXPERIMENTS)
    config.run_dir = str(tmp_path)
    return config


def test_the_shipped_controller_is_exported_and_acts(config, tmp_path):
    result = export_controller.run(config, RunLog(tmp_path, "export_controller"))
    file = result["zip"]
    assert file["largest_difference_rad"] < 1e-5 and file["bytes"] == file["file"].stat().st_size
    robot = Exported(file["file"], kinds=())
    q = np.clip(np.zeros(16), robot.contract["joints"]["lower"], robot.contract["joints"]["upper"])
    robot.reset(q)
    target, _ = robot.act(q, q)
    assert np.abs(target - q).max() <= robot.contract["limits"]["max_step"] + 1e-6


def test_a_file_that_acts_otherwise_is_refused(config, tmp_path, monkeypatch):
    monkeypatch.setattr(export_controller.check, "difference_of_zip", lambda *_: 2e-5)
    monkeypatch.setattr(export_controller.export, "write", lambda controller, path: path.write_bytes(b"") or {})
    with pytest.raises(ValueError, match="controller.zip differs .* by 2e-05 rad, and 1e-05 is allowed"):
        export_controller.run(config, RunLog(tmp_path, "export_controller"))


def test_without_onnx_it_says_what_to_install(config, tmp_path, monkeypatch):
    config.onnx = True
    monkeypatch.setattr(export_controller.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dexgen_jax\[onnx\]'"):
        export_controller.run(config, RunLog(tmp_path, "export_controller"))
