"""An expert that looks ahead: it tries a few courses of action in copies of its environment, and takes the best.

An environment here is a pure function of its state, so the simulator itself is the model to plan with: no model is
learned, and nothing is undone. Candidates are the expert's own actions and the same with a push that lasts a moment; a
candidate is worth the rewards up to a horizon and what the expert's critic expects after it. That is predictive
sampling (arXiv:2212.00541) around a learned policy, with a learned value behind the horizon.

All candidates meet the same luck, drawn anew: nobody foresees a push on the object, or the next goal. What a real hand
could not do, be copied, makes this an expert for recordings and for simulation, as `env.sees_all` does.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State, Wrapper

from dexgen_jax.defaults import require
from dexgen_jax.envs import restarts
from dexgen_jax.experts.networks import Expert
from dexgen_jax.experts.seldom import seldom


@dataclasses.dataclass(frozen=True)
class LookaheadConfig:
    """How widely and how far an expert looks ahead. A control step costs 1 + candidates * horizon / commit of them."""

    candidates: int = 1  # courses of action, the expert's own among them; with 1 it does not look ahead
    horizon: int = 8  # control steps that a candidate is followed
    commit: int = 4  # control steps until it looks ahead again, and that a push lasts
    push: float = 0.5  # standard deviation of the pushes, in units of an action; of the gentlest candidate half as much
    drop_cost: float = 0.0  # what a drop costs in a plan beside the task's own reward, in the critic's scaled units

    def __post_init__(self) -> None:
        require(self, counts="candidates horizon commit", positive="push")
        if not 0 <= self.drop_cost < math.inf:
            raise ValueError(f"drop_cost is {self.drop_cost}: it must be a number from 0")
        if self.commit > self.horizon:
            raise ValueError(f"commit is {self.commit}, and the horizon only {self.horizon} control steps")


class Lookahead(Wrapper):
    """Adds the observation `push` (n,): what the plan adds to the expert's action in this control step.

    `Expert.act` adds it. In the first control step of an episode there is no plan yet.
    """

    def __init__(self, env: Env, expert: Expert, config: LookaheadConfig):
        super().__init__(env)
        if not expert.has_critic:
            raise ValueError(
                "this expert has no critic, which says what comes behind the horizon: train again, or give it one by "
                "a training with start_from and a ppo.critic_first of all its iterations"
            )
        self.expert, self.plans = expert, config  # `config` is the task's, as everywhere
        # In lots of a quarter of those that are due on average: a lot costs the same however few are in it.
        self._choose = seldom(self._plan, lambda size: -(-size // (4 * config.commit)))

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        return {**self.env.observation_size, "push": (self.env.action_size,)}

    def reset(self, rng: jax.Array, *level: jax.Array | float) -> State:
        """As the task's own `reset`, with the level of its curriculum if it has one."""
        nothing = jnp.zeros((self.plans.commit, self.env.action_size), jnp.float32)
        state = _show(self.env.reset(rng, *level), nothing, jnp.int32(self.plans.commit - 1))
        return state.replace(info=restarts.remember_more(state.info))

    def step(self, state: State, action: jax.Array) -> State:
        """As the task's own `step`, and then, once in `commit` control steps, a look ahead."""
        state = state.replace(info=restarts.recall(state))
        plan, row = state.info["plan"], state.info["plan_row"] + 1
        after = self.env.step(state, action)
        key, rng = jax.random.split(after.info["rng"])
        after = after.replace(info=after.info | {"rng": rng})
        plan = self._choose(row >= self.plans.commit, plan, key, after)
        return _show(after, plan, row % self.plans.commit)

    def _plan(self, key: jax.Array, state: State) -> jax.Array:
        """The pushes (commit, n) of the candidate that turns out best."""
        config = self.plans
        key_push, key_luck = jax.random.split(key)
        moments = -(-config.horizon // config.commit)
        push = jax.random.normal(key_push, (config.candidates, moments, self.env.action_size))
        strength = jnp.linspace(0.5, 1.0, config.candidates - 1) if config.candidates > 1 else jnp.zeros(0)
        push *= config.push * jnp.concatenate([jnp.zeros(1), strength])[:, None, None]  # the first is the expert's own
        push = jnp.repeat(push, config.commit, axis=1)[:, : config.horizon]
        start = state.replace(info=state.info | {"rng": key_luck})
        worth = jax.vmap(lambda pushes: self._worth(start, pushes))(push)
        return push[jnp.argmax(worth), : config.commit]

    def _worth(self, state: State, pushes: jax.Array) -> jax.Array:
        """What a candidate (horizon, n) is expected to earn, (): scaled rewards, and the critic's word at the end."""
        discount, scale = self.expert.config["critic"]["discount"], self.expert.config["critic"]["reward_scale"]

        def step(now: tuple, push: jax.Array) -> tuple[tuple, None]:
            state, earned, weight = now  # `weight` is 0 once the object is lost
            after = self.env.step(state, jnp.clip(self.expert.act(state.obs) + push, -1.0, 1.0))
            worth = scale * after.reward - self.plans.drop_cost * after.done
            earned += jnp.where(weight > 0, weight * worth, 0.0)
            return (after, earned, weight * discount * (1.0 - after.done)), None

        start = state, jnp.zeros_like(state.reward), jnp.ones_like(state.reward)
        (end, earned, weight), _ = jax.lax.scan(step, start, pushes)
        return earned + jnp.where(weight > 0, weight * self.expert.value(end.obs), 0.0)


def _show(state: State, plan: jax.Array, row: jax.Array) -> State:
    return state.replace(obs=state.obs | {"push": plan[row]}, info=state.info | {"plan": plan, "plan_row": row})
