"""The expert's networks: a Gaussian actor on `state`, a critic on `privileged_state`, and the normaliser of both.

An actor may also look back: then a small encoder turns `history` into features that stand beside its `state`. And it
may be given an action to begin with, `carry`, which it takes a learned share of and adds its own to.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from dexgen_jax import checkpoints, pretrained
from dexgen_jax.hand import registry
from dexgen_jax.hand.description import Hand

_FIRST_SHARE = 0.1  # of `carry` in the action of a new policy, for each joint: more of it shakes the object loose
_HISTORY_WIDTHS = (128, 32)  # hidden layer of the history's encoder, and what it hands to the actor
# An expert's normalisers in its file.
_STORED_AS = {"state": "stats", "history": "stats_history", "privileged_state": "stats_privileged_state"}
_CLIP = 5.0  # standard deviations: one wild contact must not blow up a forward pass


@struct.dataclass
class RunningStats:
    """Mean and variance of everything seen so far, feature by feature."""

    count: jax.Array  # (d,): a feature may be newer than others
    mean: jax.Array  # (d,)
    m2: jax.Array  # (d,), sum of squared deviations

    @classmethod
    def zeros(cls, size: int) -> "RunningStats":
        few = lambda: jnp.full(size, 1e-4, jnp.float32)
        return cls(few(), jnp.zeros(size, jnp.float32), few())

    @classmethod
    def read(cls, count: jax.Array, mean: jax.Array, m2: jax.Array) -> "RunningStats":
        """Statistics from a file; older files have one count () for all features."""
        return cls(jnp.broadcast_to(count, mean.shape), mean, m2)

    def update(self, batch: jax.Array, axis_name: str | None = None) -> "RunningStats":
        """Merges a batch (..., d), and with `axis_name` those of all devices, by the parallel variance formula.

        Source: Chan et al. 1979. Merging devices first keeps the statistics equal on all of them.
        """
        batch = batch.reshape(-1, batch.shape[-1])
        count, mean = jnp.asarray(float(batch.shape[0]), batch.dtype), batch.mean(0)
        m2 = jnp.sum((batch - mean[None]) ** 2, axis=0)
        if axis_name is not None:
            shared = jax.lax.pmean(mean, axis_name)
            m2 = jax.lax.psum(m2 + count * (mean - shared) ** 2, axis_name)
            count, mean = jax.lax.psum(count, axis_name), shared
        total, delta = self.count + count, mean - self.mean
        return RunningStats(
            total, self.mean + delta * count / total, self.m2 + m2 + delta**2 * self.count * count / total
        )

    def normalize(self, value: jax.Array) -> jax.Array:
        """Shifts and scales (..., d) to zero mean and unit variance, cut at 5 standard deviations."""
        mean, std = jnp.broadcast_arrays(value, self.mean, jnp.sqrt(self.m2 / self.count) + 1e-4)[1:]
        return jnp.clip((value - mean) / std, -_CLIP, _CLIP)


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Widths of the hidden layers, the bounds of the exploration noise, and how far the actor looks back."""

    actor: tuple[int, ...] = (256, 128, 64)
    critic: tuple[int, ...] = (256, 128, 64)
    log_std: tuple[float, float, float] = (-1.2, -3.0, 0.0)  # start, lower and upper bound
    history: int = 0  # control steps of `envs.history` that the actor encodes; 0: its environment has none
    carries: bool = False  # adds a learned share of `carry`, the action that geometry suggests, to the actor's


def elu(x: jax.Array) -> jax.Array:
    """x above zero, exp(x) - 1 below; on a CPU in half the time of `flax.linen.elu`, which takes care of tiny x."""
    # The inner minimum keeps the unused branch, and so its gradient, finite.
    return jnp.where(x > 0, x, jnp.exp(jnp.minimum(x, 0.0)) - 1.0)


class MLP(nn.Module):
    """Dense layers with ELU between them; the last one starts small so that a new policy stays near zero."""

    widths: Sequence[int]
    out: int
    out_scale: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.widths:
            x = elu(nn.Dense(width, kernel_init=nn.initializers.orthogonal(2**0.5))(x))
        return nn.Dense(self.out, kernel_init=nn.initializers.orthogonal(self.out_scale))(x)


@struct.dataclass
class Gaussian:
    """A diagonal normal distribution over actions."""

    mean: jax.Array  # (..., n)
    log_std: jax.Array  # (n,) or (..., n)

    def sample(self, key: jax.Array) -> jax.Array:
        return self.mean + self._per_action(jnp.exp(self.log_std)) * jax.random.normal(key, self.mean.shape)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log density (...,) of an action (..., n)."""
        unit = (action - self.mean) * self._per_action(jnp.exp(-self.log_std))
        return jnp.sum(-0.5 * unit**2 - self._per_action(self.log_std) - 0.5 * jnp.log(2 * jnp.pi), axis=-1)

    def kl_to(self, other: "Gaussian") -> jax.Array:
        """Kullback-Leibler divergence (...,) from `self` to `other` [nat]."""
        log_std, other_log_std = self._per_action(self.log_std), other._per_action(other.log_std)
        ratio = jnp.exp(2 * (log_std - other_log_std))
        shift = ((self.mean - other.mean) * jnp.exp(-other_log_std)) ** 2
        return 0.5 * jnp.sum(ratio + shift - 1.0 - jnp.log(ratio), axis=-1)

    def entropy(self) -> jax.Array:
        """Differential entropy [nat]."""
        return jnp.sum(self.log_std + 0.5 * jnp.log(2 * jnp.pi * jnp.e), axis=-1)

    def _per_action(self, value: jax.Array) -> jax.Array:
        """One value (n,) for a whole batch of actions, or one each."""
        return jnp.broadcast_to(value, self.mean.shape)


@dataclasses.dataclass(frozen=True)
class ActorCritic:
    """Pure functions of parameters: `init`, `policy`, `value`. Observations come unnormalised."""

    config: NetworkConfig
    action_size: int

    def init(self, key: jax.Array, obs_sizes: dict[str, int]) -> dict[str, Any]:
        key_actor, key_critic = jax.random.split(key)
        seen, encoder = obs_sizes["state"], {}
        if self.config.history:
            self._require_history(obs_sizes)
            seen += _HISTORY_WIDTHS[-1]
            encoder["history"] = self._encoder.init(jax.random.fold_in(key, 2), jnp.zeros(obs_sizes["history"]))
        return {
            "actor": self._actor.init(key_actor, jnp.zeros(seen)),
            "critic": self._critic.init(key_critic, jnp.zeros(obs_sizes["privileged_state"])),
            "log_std": jnp.full(self.action_size, self.config.log_std[0], jnp.float32),
            **encoder,
            **({"carry": jnp.full(self.action_size, _FIRST_SHARE, jnp.float32)} if self.config.carries else {}),
        }

    def policy(self, params: dict, stats: dict[str, RunningStats], obs: dict[str, jax.Array]) -> Gaussian:
        """The action distribution for observations (..., d)."""
        seen = stats["state"].normalize(obs["state"])
        if self.config.history:
            self._require_history(obs)
            past = self._encoder.apply(params["history"], stats["history"].normalize(obs["history"]))
            seen = jnp.concatenate([seen, past], axis=-1)
        mean = self._actor.apply(params["actor"], seen)
        if self.config.carries:
            self._require_carry(obs)
            mean += jnp.broadcast_to(params["carry"], mean.shape) * obs["carry"]
        return Gaussian(mean, jnp.clip(params["log_std"], *self.config.log_std[1:]))

    def value(self, params: dict, stats: dict[str, RunningStats], obs: dict[str, jax.Array]) -> jax.Array:
        """The expected return (...,)."""
        seen = stats["privileged_state"].normalize(obs["privileged_state"])
        return self._critic.apply(params["critic"], seen)[..., 0]

    def _require_history(self, obs: dict) -> None:
        if "history" not in obs:
            raise ValueError(
                f"this policy looks back over {self.config.history} control steps, and the observations are "
                f"{', '.join(obs)}: wrap its environment in dexgen_jax.envs.history.History"
            )

    def _require_carry(self, obs: dict) -> None:
        if "carry" not in obs:
            raise ValueError(
                f"this policy builds on the action `carry`, and the observations are {', '.join(obs)}: set sees_all in "
                "the config of its task"
            )

    @property
    def _encoder(self) -> MLP:
        return MLP(_HISTORY_WIDTHS[:-1], _HISTORY_WIDTHS[-1], 1.0)

    @property
    def _actor(self) -> MLP:
        return MLP(self.config.actor, self.action_size, 0.01)

    @property
    def _critic(self) -> MLP:
        return MLP(self.config.critic, 1, 1.0)


@struct.dataclass
class Expert:
    """A trained policy, complete: network, parameters and normaliser."""

    config: dict = struct.field(pytree_node=False)
    params: dict  # actor, log_std, and if there are any the history's encoder, the share of `carry` and the critic
    stats: dict[str, RunningStats]  # of what the actor sees, and the critic

    def act(self, obs: dict[str, jax.Array], key: jax.Array | None = None) -> jax.Array:
        """The action (n,) for one observation; the distribution's mean, or a sample if `key` is given.

        Entries that `state` has come to have since the expert was trained stand behind those it knows, and are ignored.
        To the action comes the `push` of `experts.lookahead`, where its environment has that.
        """
        if not self.styled:
            obs = {**obs, "state": obs["state"][..., : self.stats["state"].mean.shape[0]]}
        gaussian = self._networks.policy(self.params, self.stats, obs)
        action = gaussian.mean if key is None else gaussian.sample(key)
        return action + obs["push"] if "push" in obs else action

    def value(self, obs: dict[str, jax.Array]) -> jax.Array:
        """What the critic expects, (): the discounted sum of scaled rewards, see `config["critic"]`.

        As in `act`, entries that are newer than the critic are ignored.
        """
        known = self.stats["privileged_state"].mean.shape[0]
        seen = {"privileged_state": obs["privileged_state"][..., :known]}
        return self._networks.value(self.params, self.stats, seen)

    @property
    def has_critic(self) -> bool:
        """Whether it was saved with what judges its states."""
        return "critic" in self.config

    @property
    def _networks(self) -> ActorCritic:
        config = self.config
        shape = NetworkConfig(
            actor=tuple(config["actor"]), critic=tuple(config["critic"]["widths"]) if self.has_critic else (),
            log_std=tuple(config["log_std"]), history=self.history, carries=config.get("carries", False),
        )  # fmt: skip
        return ActorCritic(shape, self.params["log_std"].shape[0])

    @property
    def history(self) -> int:
        """Control steps that it looks back over; if there are any, its environment needs `envs.history`."""
        return self.config.get("history", 0)

    @property
    def styled(self) -> bool:
        """Whether it is shown its style, which ends what it sees: new entries cannot stand behind that."""
        return bool(self.config.get("env", {}).get("style", {}).get("shown"))

    @property
    def task(self) -> str:
        """The name of the task it was trained in, see `envs.registry`."""
        return self.config.get("task", "anygrasp")

    @property
    def hand_name(self) -> str:
        """The hand that it moves; before experts said so, there was one hand."""
        return self.config.get("hand", "allegro")

    @classmethod
    def of(
        cls, networks: ActorCritic, params: dict, stats: dict[str, RunningStats], env: dict, task: str = "anygrasp",
        hand: str = "allegro", returns: dict[str, float] | None = None,
    ) -> "Expert":  # fmt: skip
        """Takes from a training what acting needs; `env`, the settings of its `task`, and `hand` stay with it.

        With `returns`, the `discount` and the `reward_scale` of its critic's values, it takes the critic too.
        """
        shape = networks.config
        config: dict[str, Any] = {"hand": hand, "task": task, "env": env}
        config |= {"actor": list(shape.actor), "log_std": list(shape.log_std)}
        if shape.history:
            config["history"] = shape.history
        if shape.carries:
            config["carries"] = True
        parts, seen = ["actor", "log_std", "history", "carry"], ["state", "history"]
        if returns is not None:
            config["critic"] = {"widths": list(shape.critic), **returns}
            parts, seen = [*parts, "critic"], [*seen, "privileged_state"]
        acting = {name: params[name] for name in parts if name in params}
        return cls(config, acting, {name: stats[name] for name in seen if name in stats})

    @property
    def actor(self) -> "Expert":
        """The same without its critic."""
        config = {name: value for name, value in self.config.items() if name != "critic"}
        params = {name: value for name, value in self.params.items() if name != "critic"}
        return Expert(config, params, {name: s for name, s in self.stats.items() if name != "privileged_state"})

    def save(self, folder: str | Path) -> None:
        """Writes `config.json` and `weights.npz`."""
        stats = {_STORED_AS[name]: vars(stats) for name, stats in self.stats.items()}
        checkpoints.save_weights(folder, dict(self.config), {"params": self.params, **stats})

    @classmethod
    def from_pretrained(cls, folder: str | Path = "shipped", hand: Hand | None = None) -> "Expert":
        """Reads what `save` wrote, from a folder or one that is shipped (`shipped`, `shipped:fine_rotation`, ...).

        With `hand` given, it must be of that hand. Raises an error that names the file when it is missing or damaged.
        """
        owner = "allegro" if hand is None else hand.name
        config, tree = checkpoints.load_weights(pretrained.find("expert", folder, hand=owner))
        if hand is not None:
            registry.refuse_other(f"the expert in {folder}", config.get("hand", "allegro"), hand.name)
        tree = jax.device_put(tree)  # jnp.asarray would compile a program for each shape
        stats = {name: RunningStats.read(**tree[stored]) for name, stored in _STORED_AS.items() if stored in tree}
        return cls(config, tree["params"], stats)
