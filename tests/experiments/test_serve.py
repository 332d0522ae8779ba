import json
import signal
import sys
from pathlib import Path

import command_line
import fake_device
import jax
import numpy as np
import processes
import pytest
import serve

from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.deploy.client import Client

EXPERIMENTS = Path(serve.__file__).parent
TOKEN = "a secret of some length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small untrained controller, saved."""
    model = Model(width=64, encoder_width=16, inverse_width=16, inverse_blocks=1, sampling_steps=2, diffusion_steps=20)
    ones, joints = np.ones((model.history, windows.condition_size(model.hand)), np.float32), model.hand.num_joints
    statistics = Normalizer(
        0 * ones, ones, np.full(2, 0.005, np.float32), 0 * ones[0, :joints], 0.01 * ones[0, :joints]
    )
    path = tmp_path_factory.mktemp("controller")
    parameters = jax.jit(model.initial_parameters)(jax.random.PRNGKey(0))
    Controller(model, Weights(**parameters, normalizer=statistics)).save(path)
    return path


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    """serve.py in a process of its own: its address, its token file, and the process."""
    run_dir = tmp_path_factory.mktemp("run")
    secret = run_dir / "token"
    secret.write_text(TOKEN + "\n")
    secret.chmod(0o600)
    command = [sys.executable, str(EXPERIMENTS / "serve.py"), f"--config={EXPERIMENTS}/configs/serve.py"]
    values = {"run_dir": run_dir, "controller": folder, "address": "tcp://127.0.0.1:*", "token_file": secret}
    command += [f"--config.{name}={value}" for name, value in values.items()]
    with processes.started(command, stdout=processes.PIPE, stderr=processes.PIPE) as process:
        for line in process.stderr:
            if "tcp://" in line:
                break
        yield line.split(" on ")[1].split(";")[0], secret, process


def test_robots_are_served_until_the_signal_and_the_last_line_says_how(server, folder):
    address, secret, process = server
    hand = Model().hand
    q = np.float32(hand.prior.joint_mean)
    with Client(address, TOKEN, 120) as one, Client(address, TOKEN, 120) as other:
        assert one.describe()["joints"]["names"] == list(hand.joint_names)
        local = Controller.from_pretrained(folder)
        for each in (one, other, local):
            each.reset(q, q)
        for _ in range(3):  # all three are the same controller, and each remembers for itself
            how = {"command": q + 0.05, "strength": np.inf}
            actions = [each.act(q, q, **how)[0] for each in (one, other, local)]
            np.testing.assert_allclose(actions, np.tile(q + np.float32(0.05), (3, 1)), atol=1e-6)
        free = [each.act(q, q)[0] for each in (one, other)]
        assert (free[0] != free[1]).any()  # each draws noise of its own
        with pytest.raises(ValueError, match="unknown mode .dance.; there is default"):
            one.act(q, q, mode="dance")

    followed, sent, _ = fake_device.teleoperated(secret.parent, sent_s=0.8, server=address, token_file=str(secret))
    assert followed["steps"] >= 1 and sent["sent_to_moved"]["count"] > 0 and followed["device"]["refused"] == 0

    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    result = json.loads(out.splitlines()[-1])
    assert process.returncode == 0 and result["address"] == address
    assert (
        result["act"]["count"] >= 6 and result["act"]["p99_ms"] > 0 and (result["refused"], result["failed"]) == (1, 0)
    )


def test_a_token_that_others_can_read_is_refused(tmp_path):
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    secret.chmod(0o644)
    config = command_line.load(f"{EXPERIMENTS}/configs/serve.py", EXPERIMENTS)
    assert serve.read_token(config) is None
    config.token_file = str(secret)
    with pytest.raises(ValueError, match=f"token can be read by others: chmod 600 {secret}"):
        serve.read_token(config)
    secret.chmod(0o600)
    assert serve.read_token(config) == TOKEN


@pytest.mark.parametrize("size", command_line.SIZES)
@pytest.mark.parametrize("script", ["serve", "teleoperate", "send_fingertips", "export_controller"])
def test_every_size_loads(script, size):
    config = command_line.load(f"{EXPERIMENTS}/configs/{script}.py:{size}", EXPERIMENTS)
    assert config.run_dir.startswith("runs/")
