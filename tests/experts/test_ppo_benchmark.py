"""Laws of benchmarks/ppo.py: its figures have their names and agree with each other; a missing learner is named."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ppo as benchmark
from fake_env import TrainableEnv

from dexgen_jax.experts.networks import ActorCritic, NetworkConfig
from dexgen_jax.experts.ppo import PPOConfig

pytestmark = pytest.mark.slow  # eight programs to compile

CONFIG = PPOConfig(num_envs=16, unroll_length=4, epochs=2, minibatches=2)


@pytest.fixture(scope="module")
def task():
    env = TrainableEnv(reach=9.0, episode_steps=20)
    return env, ActorCritic(NetworkConfig(actor=(16,), critic=(16,)), env.action_size)


def test_the_split_of_the_time(task):
    found = benchmark.measure(*task, CONFIG, rounds=2)
    assert {"steps_per_second", "share_of_bare", "rollout_seconds", "learner_seconds"} <= found.keys()
    assert all(value > 0 for value in found.values())  # how much, on so small a task, is chance
    np.testing.assert_allclose(found["steps_per_second"] * found["training_seconds"], 64, rtol=1e-6)


def test_a_learner_that_is_not_installed_is_named(task, monkeypatch):
    monkeypatch.setitem(sys.modules, "ppo_torch", None)
    found = benchmark.after_equal_transitions(*task, CONFIG, 200)
    assert found["transitions"] == 4 * 64 and found["ours"]["steps_per_second"] > 0
    assert found["rsl_rl"] == "not installed (ppo_torch): pip install 'dexgen_jax[bench]'"


def test_rsl_rl_learns_on_the_same_environment(task):
    pytest.importorskip("rsl_rl")
    import ppo_torch

    runner, environments = ppo_torch.begin(task[0], task[1].config, CONFIG)
    before = [weights.detach().clone() for weights in runner.alg.actor.parameters()]
    ppo_torch.learn(runner, 2)
    assert len(environments.goals) == 2 * CONFIG.unroll_length
    assert all((now != was).any() for now, was in zip(runner.alg.actor.parameters(), before, strict=True))
    seen = environments.get_observations()
    assert {name: seen[name].shape[1:] for name in seen.keys()} == task[0].observation_size
    assert jax.tree.leaves(environments._state)[0].shape[0] == CONFIG.num_envs
