"""How good a policy is: goals a minute and seconds per drop, with exact intervals, beside doing nothing and moving at random."""

import jax
import jax.numpy as jnp
from brax.envs.base import Env
from scipy import stats

from dexgen_jax.experts import rollout as rollouts
from dexgen_jax.physics.engine import CONTROL_HZ


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact confidence interval of the mean of a Poisson count (Garwood 1936)."""
    tail = (1 - confidence) / 2
    low = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return float(low), float(stats.chi2.ppf(1 - tail, 2 * count + 2) / 2)


def yardsticks(action_size: int) -> dict[str, rollouts.Policy]:
    """Policies that learned nothing: hold the grasp's own targets, and move at random."""
    return {
        "zero_action": lambda obs, key: jnp.zeros((*obs["state"].shape[:-1], action_size)),
        "random": lambda obs, key: jax.random.uniform(key, (*obs["state"].shape[:-1], action_size), minval=-1.0),
    }


def score(env: Env, policy: rollouts.Policy, key: jax.Array, num_envs: int, steps: int) -> dict[str, float | list[float]]:
    """Runs `num_envs` environments for `steps` control steps; the same key gives every policy the same starts.

    A drop ends an episode and a fresh one begins; hold time is simulated seconds per drop.
    """
    key_start, key_roll = jax.random.split(key)

    @jax.jit
    def run(key_start: jax.Array, key_roll: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = rollouts.start(env, key_start, num_envs, env.config.episode_steps)
        _, steps_taken = rollouts.rollout(env, policy, state, key_roll, steps)
        return steps_taken.metrics["success"].sum(), steps_taken.metrics["drop"].sum()

    goals, drops = (int(x) for x in run(key_start, key_roll))
    seconds = num_envs * steps / CONTROL_HZ
    low, high = poisson_interval(drops)
    return {
        "seconds": seconds, "goals": goals, "drops": drops,
        "goals_per_minute": 60 * goals / seconds,
        "goals_per_minute_interval": [60 * x / seconds for x in poisson_interval(goals)],
        "hold_seconds": seconds / max(drops, 1),
        "hold_seconds_interval": [seconds / high, seconds / low if low else None],
    }  # fmt: skip
