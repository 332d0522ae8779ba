"""Several processes share one run: they find each other, one writes, all restore one checkpoint and learn alike."""

import contextlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path

import launch
import processes
import pytest

EXPERIMENTS = Path(launch.__file__).parent
STAGE = """
import jax
import launch
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec
from toy_env import Walk
from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.experts import networks, ppo, training

def run(config, log):
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    rows = np.arange(8.0, dtype=np.float32).reshape(4, 2)
    split, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    tree = {
        "split": jax.make_array_from_callback(rows.shape, split, lambda index: rows[index]),
        "whole": jax.make_array_from_callback((3,), whole, lambda index: np.ones(3, np.float32)[index]),
        "host": np.arange(3),
    }
    checkpoints = Checkpoints(log.folder / "checkpoints", keep=1)
    for step in (1, 2):
        checkpoints.save(step, tree)
    log.write(2, {"x": 1.0})
    back = checkpoints.restore(jax.tree.map(lambda leaf: leaf * 0, tree))
    same = all(np.array_equal(piece.data, rows[piece.index]) for piece in back["split"].addressable_shards)
    same &= np.array_equal(back["host"], np.arange(3)) and back["split"].sharding.is_equivalent_to(split, 2)
    assert same, (back["split"].sharding, split)
    actor_critic = networks.ActorCritic(networks.NetworkConfig(actor=(4,), critic=(4,)), Walk.action_size)
    small = ppo.PPOConfig(num_envs=4, unroll_length=2, epochs=1, minibatches=2)
    loop = training.on(jax.devices(), Walk(), actor_critic, small, 12)
    state, metrics = jax.block_until_ready(loop.learn(loop.create(jax.random.PRNGKey(0))))
    learned = jax.device_get(state.params)
    multihost_utils.assert_equal(learned, "each process learned something else")
    envs = state.env.obs["state"].sharding.num_devices
    return {"processes": jax.process_count(), "steps": checkpoints.steps(), "devices": envs}

if __name__ == "__main__":
    launch.main(run, several=True)
"""
CONFIG = """
from ml_collections import ConfigDict

def get_config():
    return ConfigDict(dict(run_dir="run", seed=0))
"""


@pytest.mark.slow
def test_two_processes_run_one_stage_and_one_of_them_writes(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "toy.py").write_text(CONFIG)
    (tmp_path / "toy.py").write_text(STAGE)
    for name in ("launch.py", "command_line.py", "run_lock.py", "settings.py", "stopping.py"):
        shutil.copy(EXPERIMENTS / name, tmp_path)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    named = {"DEXGEN_DISTRIBUTED": "1", "JAX_NUM_PROCESSES": "2", "JAX_COORDINATOR_ADDRESS": address}
    paths = os.pathsep.join(map(str, (EXPERIMENTS.parent, EXPERIMENTS.parent / "tests" / "experts")))
    environment = {**os.environ, **named, "PYTHONPATH": paths}
    how = dict(cwd=tmp_path, stdout=processes.PIPE, stderr=processes.PIPE)
    with contextlib.ExitStack() as both:
        two = [
            both.enter_context(
                processes.started([sys.executable, "toy.py"], env={**environment, "JAX_PROCESS_ID": str(number)}, **how)
            )
            for number in range(2)
        ]
        (out, error), (other_out, other_error) = [process.communicate() for process in two]
    assert [process.returncode for process in two] == [0, 0], error + other_error
    result = {"processes": 2, "steps": [2], "devices": 2}
    assert json.loads(out.splitlines()[-1]) | {"minutes": 0} == result | {"minutes": 0}
    assert "processes" not in other_out  # Gloo says hello there, and that is all
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1
