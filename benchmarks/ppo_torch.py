"""RSL-RL's PPO on the same environments: the other learner of benchmarks/ppo.py, through an adapter for its `VecEnv`.

Needs rsl-rl-lib and torch (pip install 'dexgen_jax[bench]'). The environments stay one compiled JAX program;
observations and actions go over through NumPy, and Python stands between every two control steps. Networks, batches,
epochs, the rule of the step size and normalisation are those of our PPO.
"""

import contextlib
import io
import math

import jax
import numpy as np
import torch
from brax.envs.base import Env
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

from dexgen_jax.experts import rollout
from dexgen_jax.experts.networks import NetworkConfig
from dexgen_jax.experts.ppo import PPOConfig


class Environments(VecEnv):
    """A batch of Brax environments as RSL-RL sees them; counts goals as it goes."""

    def __init__(self, env: Env, config: PPOConfig, key: jax.Array):
        self.num_envs, self.num_actions, self.device, self.cfg = config.num_envs, env.action_size, "cpu", {}
        self.max_episode_length, self.scale = env.config.episode_steps, config.reward_scale
        self._step = jax.jit(jax.vmap(lambda state, action: rollout.auto_reset_step(env, state, action)))
        level = getattr(env, "first_level", None)
        begin = jax.jit(lambda key: rollout.start(env, key, config.num_envs, env.config.episode_steps, level))
        self._state = begin(key)
        self.episode_length_buf = torch.zeros(config.num_envs, dtype=torch.long)
        self.goals: list[float] = []  # share of the environments that reached one, by control step

    def get_observations(self) -> TensorDict:
        """The present observations, by the names that the environment gives them."""
        return TensorDict({name: _torch(value) for name, value in self._state.obs.items()}, batch_size=self.num_envs)

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """One control step of all; an environment whose episode ended has begun the next."""
        self._state, reached = self._step(self._state, actions.numpy())
        late = _torch(reached.info["truncation"])
        self.goals.append(float(reached.metrics["success"].mean()))
        over = (_torch(reached.done) + late > 0).long()
        return self.get_observations(), self.scale * _torch(reached.reward), over, {"time_outs": late}


def _torch(value: jax.Array) -> torch.Tensor:
    return torch.from_numpy(np.array(value, np.float32))


def settings(shape: NetworkConfig, config: PPOConfig) -> dict:
    """RSL-RL's settings for our networks and hyperparameters; its critic has the actor's step size."""
    widths = lambda sizes: {"class_name": "MLPModel", "hidden_dims": list(sizes), "obs_normalization": True}
    start, *bounds = (math.exp(value) for value in shape.log_std)
    noise = {"class_name": "GaussianDistribution", "init_std": start, "std_range": tuple(bounds), "std_type": "log"}
    return {
        "num_steps_per_env": config.unroll_length, "save_interval": 10**9,
        "obs_groups": {"actor": ["state"], "critic": ["privileged_state"]},
        "actor": {**widths(shape.actor), "distribution_cfg": noise}, "critic": widths(shape.critic),
        "algorithm": {
            "class_name": "PPO", "num_learning_epochs": config.epochs, "num_mini_batches": config.minibatches,
            "clip_param": config.clip, "gamma": config.discount, "lam": config.gae_lambda,
            "value_loss_coef": config.value_cost, "entropy_coef": config.entropy_cost,
            "learning_rate": config.learning_rate, "schedule": "adaptive", "desired_kl": config.target_kl,
            "max_grad_norm": config.gradient_norm, "use_clipped_value_loss": False,
        },
    }  # fmt: skip


def begin(env: Env, shape: NetworkConfig, config: PPOConfig) -> tuple[OnPolicyRunner, Environments]:
    """A training that has not begun, and its environments; `learn` goes on with it."""
    torch.manual_seed(0)
    environments = Environments(env, config, jax.random.PRNGKey(0))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its networks
        return OnPolicyRunner(environments, settings(shape, config), log_dir=None, device="cpu"), environments


def learn(runner: OnPolicyRunner, iterations: int) -> None:
    """Goes on for `iterations`."""
    with contextlib.redirect_stdout(io.StringIO()):
        runner.learn(iterations)
