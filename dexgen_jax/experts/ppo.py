"""Proximal policy optimisation, one pure iteration: roll out, estimate advantages, improve.

Source: arXiv:1707.06347; the step size follows the divergence as in rl_games and RSL-RL. Written for one device: with
`axis_name` set, gradients, statistics and divergences are averaged over the devices of that axis, under `shard_map` or
`pmap`.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from brax.envs.base import Env, State
from flax import struct

from dexgen_jax.defaults import require
from dexgen_jax.experts import rollout as rollouts
from dexgen_jax.experts.advantages import generalized_advantages
from dexgen_jax.experts.networks import ActorCritic, Gaussian, RunningStats


@dataclasses.dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters; the paper's where it states them (clip, discount, gae_lambda)."""

    num_envs: int = 2048  # environments; in `iteration` those of one device
    unroll_length: int = 16  # control steps between updates
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 5e-4  # of the actor at first; the divergence moves it
    learning_rate_range: tuple[float, float] = (1e-5, 2e-3)
    target_kl: float = 0.02  # nat between the policy that acted and the one that learned
    critic_learning_rate: float = 1e-3  # fixed: no divergence bounds the critic
    critic_first: int = 0  # iterations at the start in which only the critic learns: a new one misleads a good actor
    discount: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.2
    value_cost: float = 1.0
    entropy_cost: float = 0.0
    gradient_norm: float = 1.0
    reward_scale: float = 0.1  # keeps returns near 1, so that the critic's loss does not drown the actor's

    def __post_init__(self):
        require(
            self,
            counts="num_envs unroll_length epochs minibatches",
            positive="learning_rate target_kl critic_learning_rate gradient_norm reward_scale clip",
            shares="discount gae_lambda",
        )
        low, high = self.learning_rate_range
        if not 0 < low <= high < math.inf:
            raise ValueError(f"learning_rate_range must be above 0 and in order, got {self.learning_rate_range}")
        if self.num_envs * self.unroll_length % self.minibatches:
            raise ValueError(
                f"{self.num_envs} environments x {self.unroll_length} steps do not divide into "
                f"{self.minibatches} minibatches"
            )


@struct.dataclass
class TrainState:
    """Everything a run is: saved and restored whole, a resumed run equals an uninterrupted one."""

    params: dict[str, Any]
    optimizer: optax.OptState
    stats: dict[str, RunningStats]
    learning_rate: jax.Array  # (), of the actor
    env: State  # (num_envs, ...)
    key: jax.Array
    step: jax.Array  # () int32, iterations done


@struct.dataclass
class Batch:
    """What an update step learns from, (samples, ...)."""

    obs: dict[str, jax.Array]
    action: jax.Array
    log_prob: jax.Array
    old: Gaussian
    advantage: jax.Array
    value_target: jax.Array


def init(env: Env, networks: ActorCritic, config: PPOConfig, key: jax.Array, episode_steps: int) -> TrainState:
    """A new run: parameters, optimiser, statistics and environments at random ages."""
    key_env, key_params, key = jax.random.split(key, 3)
    sizes = {name: shape[0] for name, shape in env.observation_size.items()}
    params = networks.init(key_params, sizes)
    level = getattr(env, "first_level", None)
    return TrainState(
        params=params,
        optimizer=_optimizer(config).init(params),
        stats={name: RunningStats.zeros(size) for name, size in sizes.items()},
        learning_rate=jnp.asarray(config.learning_rate, jnp.float32),
        env=rollouts.start(env, key_env, config.num_envs, episode_steps, level),
        key=key,
        step=jnp.zeros((), jnp.int32),
    )


def iteration(
    env: Env, networks: ActorCritic, config: PPOConfig, state: TrainState, axis_name: str | None = None
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One rollout and one update; returns the new state and scalar metrics, means per control step."""
    key = jax.random.fold_in(state.key, state.step)
    key_learn, key_roll = jax.random.split(key)
    if axis_name is not None:  # each device sees other noise but shuffles alike
        key_roll = jax.random.fold_in(key_roll, jax.lax.axis_index(axis_name))
    policy = lambda obs, key: networks.policy(state.params, state.stats, obs).sample(key)
    env_state, steps = rollouts.rollout(env, policy, state.env, key_roll, config.unroll_length)

    events = {name: value.mean() for name, value in steps.metrics.items()}
    if axis_name is not None:
        events = jax.lax.pmean(events, axis_name)
    env_state = rollouts.adapt(env, env_state, events)
    state, metrics = learn(networks, config, state, steps, key_learn, axis_name)
    metrics |= {"reward": steps.reward.mean(), "truncation": steps.truncation.mean()}
    # Not a number as soon as one observation is not, which clipping in the normaliser might hide.
    metrics |= {f"obs/{name}": jnp.abs(value).mean() for name, value in steps.obs.items()}
    metrics |= {name: env_state.info[name].mean() for name in ("level",) if name in env_state.info}
    if axis_name is not None:
        metrics = jax.lax.pmean(metrics, axis_name)
    metrics |= {f"env/{name}": value for name, value in events.items()}
    return state.replace(env=env_state, step=state.step + 1), metrics


def learn(
    networks: ActorCritic,
    config: PPOConfig,
    state: TrainState,
    steps: rollouts.Transition,
    key: jax.Array,
    axis_name: str | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Improves on what a rollout (time, environments, ...) showed: parameters, step size and statistics.

    The statistics move last: all of an iteration sees those that the rollout was made with.
    """
    batch = _prepare(networks, config, state, steps, axis_name)
    acts = state.step >= config.critic_first
    rate = jnp.where(acts, state.learning_rate, 0.0)
    learner = (state.params, state.optimizer)
    (params, optimizer), losses = _learn(networks, config, state.stats, batch, learner, rate, key, axis_name)
    stats = {name: s.update(steps.obs[name], axis_name) for name, s in state.stats.items()}
    metrics = {name: value.mean() for name, value in losses.items()}
    rate = jnp.where(acts, _next_rate(config, state.learning_rate, metrics["kl"]), state.learning_rate)
    metrics |= {"learning_rate": rate, "std": jnp.exp(params["log_std"]).mean()}
    return state.replace(params=params, optimizer=optimizer, stats=stats, learning_rate=rate), metrics


def returns(config: PPOConfig) -> dict[str, float]:
    """What a critic's values are sums of, for `Expert.of`."""
    return {"discount": config.discount, "reward_scale": config.reward_scale}


def check_finite(metrics: dict[str, float], iteration: int) -> None:
    """Raises FloatingPointError naming what stopped being a number, and when."""
    broken = [name for name, value in metrics.items() if not math.isfinite(value)]
    if broken:
        raise FloatingPointError(
            f"{', '.join(broken)} not finite at or before iteration {iteration}; the last checkpoint is sound: "
            "lower the learning rate or look at the reward terms, and start again"
        )


def _optimizer(config: PPOConfig) -> optax.GradientTransformation:
    # The learning rate is applied by hand in `_learn`, because it changes between update steps.
    return optax.chain(optax.clip_by_global_norm(config.gradient_norm), optax.scale_by_adam(eps=1e-5))


def _prepare(
    networks: ActorCritic, config: PPOConfig, state: TrainState, steps: rollouts.Transition, axis_name: str | None
) -> Batch:
    values = networks.value(state.params, state.stats, steps.obs)
    next_values = networks.value(state.params, state.stats, steps.next_obs)
    advantages, targets = jax.vmap(
        lambda *line: generalized_advantages(*line, config.discount, config.gae_lambda), in_axes=1, out_axes=1
    )(config.reward_scale * steps.reward, values, next_values, steps.termination, steps.truncation)
    mean, square = advantages.mean(), (advantages**2).mean()
    if axis_name is not None:
        mean, square = jax.lax.pmean((mean, square), axis_name)
    advantages = (advantages - mean) / (jnp.sqrt(square - mean**2) + 1e-6)
    old = networks.policy(state.params, state.stats, steps.obs)
    old = old.replace(log_std=jnp.broadcast_to(old.log_std, old.mean.shape))
    batch = Batch(steps.obs, steps.action, old.log_prob(steps.action), old, advantages, targets)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)


def _learn(
    networks: ActorCritic,
    config: PPOConfig,
    stats: dict,
    batch: Batch,
    learner: tuple,
    rate: jax.Array,
    key: jax.Array,
    axis_name: str | None,
) -> tuple[tuple, dict[str, jax.Array]]:
    """All epochs of all minibatches; `learner` is (parameters, optimiser), `rate` () the actor's step size."""
    optimizer = _optimizer(config)

    def minibatch(learner: tuple, rows: jax.Array) -> tuple[tuple, dict[str, jax.Array]]:
        params, moments = learner
        part = jax.tree.map(lambda x: x[rows], batch)
        grads, report = jax.grad(_loss, has_aux=True)(params, networks, config, stats, part)
        if axis_name is not None:
            grads, report = jax.lax.pmean((grads, report), axis_name)
        updates, moments = optimizer.update(grads, moments, params)
        rates = {name: config.critic_learning_rate if name == "critic" else rate for name in params}
        params = {
            name: jax.tree.map(lambda p, u, r=rates[name]: p - r * u, params[name], updates[name]) for name in params
        }
        return (params, moments), report

    def epoch(learner: tuple, key: jax.Array) -> tuple[tuple, dict[str, jax.Array]]:
        rows = jax.random.permutation(key, batch.advantage.shape[0]).reshape(config.minibatches, -1)
        return jax.lax.scan(minibatch, learner, rows)

    return jax.lax.scan(epoch, learner, jax.random.split(key, config.epochs))


def _next_rate(config: PPOConfig, rate: jax.Array, kl: jax.Array) -> jax.Array:
    """The actor's next step size (), from the mean divergence of an iteration: that of a minibatch is mostly noise."""
    factor = jnp.where(kl > 2 * config.target_kl, 1 / 1.5, jnp.where(kl < 0.5 * config.target_kl, 1.5, 1.0))
    return jnp.clip(rate * factor, *config.learning_rate_range)


def _loss(
    params: dict, networks: ActorCritic, config: PPOConfig, stats: dict, batch: Batch
) -> tuple[jax.Array, dict[str, jax.Array]]:
    policy = networks.policy(params, stats, batch.obs)
    ratio = jnp.exp(policy.log_prob(batch.action) - batch.log_prob)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    actor = -jnp.mean(jnp.minimum(ratio * batch.advantage, clipped * batch.advantage))
    error = networks.value(params, stats, batch.obs) - batch.value_target
    critic = 0.5 * jnp.mean(error**2)
    explained = 1 - jnp.var(error) / (jnp.var(batch.value_target) + 1e-8)
    entropy = policy.entropy().mean()
    loss = actor + config.value_cost * critic - config.entropy_cost * entropy
    kl = jnp.mean(batch.old.kl_to(policy))
    losses = {"loss/total": loss, "loss/actor": actor, "loss/critic": critic}
    return loss, losses | {"entropy": entropy, "kl": kl, "explained_variance": explained}
