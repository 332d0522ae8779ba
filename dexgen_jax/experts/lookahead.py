"""An expert that looks ahead: it tries a few courses of action in copies of its environment, and takes the best.

An environment here is a pure function of its state, so the simulator itself is the model to plan with: no model is
learned, and nothing is undone. Courses are the expert's own actions, the same with a push that lasts a moment, and
regrasps, in which one finger goes to its place in the goal's grasp while the others carry the object on; a course is
worth the rewards up to a horizon and what the expert's critic expects after it. That is predictive sampling
(arXiv:2212.00541) around a learned policy, with a learned value behind the horizon.

All courses meet the same luck, drawn anew: nobody foresees a push on the object, or the next goal. What a real hand
could not do, be copied, makes this an expert for recordings and for simulation, as `env.sees_all` does.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env, State, Wrapper
from flax import struct

from dexgen_jax.defaults import require
from dexgen_jax.envs import restarts
from dexgen_jax.experts.networks import Expert
from dexgen_jax.experts.seldom import seldom
from dexgen_jax.hand import kinematics


@dataclasses.dataclass(frozen=True)
class LookaheadConfig:
    """How widely and how far an expert looks ahead. A control step costs 1 + courses * horizon / commit of them."""

    candidates: int = 1  # courses without a regrasp, the expert's own among them
    regrasps: bool = False  # and one for each finger, which goes to its place in the goal's grasp, and one for none
    horizon: int = 8  # control steps that a course is followed
    commit: int = 4  # control steps until it looks ahead again
    lasts: int = 4  # control steps that a push or a regrasp lasts in a course
    push: float = 0.5  # standard deviation of the pushes, in units of an action; of the gentlest candidate half as much
    carry: float = 0.3  # share of the action that geometry suggests, which is added in courses with a regrasp
    windup: float = 0.0  # how far past its place a finger regrasps, against `carry` and in units of it
    speed: float = 1.0  # of one that regrasps: times its action, pushes and `carry`, not of a regrasping finger
    pull: float = 0.05  # share of the way to the goal's grasp, added to all actions of an expert that regrasps
    drop_cost: float = 0.0  # what a drop costs in a plan beside the task's own reward, in the critic's scaled units

    def __post_init__(self) -> None:
        require(self, counts="candidates horizon commit lasts", positive="push speed")
        for name in ("carry", "windup", "pull", "drop_cost"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be a number from 0")
        for name in ("commit", "lasts"):
            if getattr(self, name) > self.horizon:
                raise ValueError(f"{name} is {getattr(self, name)}, and the horizon only {self.horizon} control steps")
        if self.speed != 1 and not self.regrasps:
            raise ValueError(f"speed is {self.speed}: it is of an expert that regrasps, so set regrasps")

    @property
    def looks(self) -> bool:
        """Whether there is a choice."""
        return self.candidates > 1 or self.regrasps


@struct.dataclass
class Course:
    """What is added to the expert's actions, and which joints do something else instead; fields (horizon, ...)."""

    push: jax.Array  # (n,) in units of an action
    regrasp: jax.Array  # (n,) bool, joints that go to where the goal's grasp has them
    carry: jax.Array  # () share of the action that geometry suggests, of the other joints


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
        if config.regrasps and "carry" not in env.observation_size:
            raise ValueError("a regrasp builds on the action `carry`: set sees_all in the config of the task")
        self.expert, self.plans = expert, config  # `config` is the task's, as everywhere
        # In lots of a quarter of those that are due on average: a lot costs the same however few are in it.
        self._choose = seldom(self._plan, lambda size: -(-size // (4 * config.commit)))

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        return {**self.env.observation_size, "push": (self.env.action_size,)}

    def reset(self, rng: jax.Array, *level: jax.Array | float) -> State:
        """As the task's own `reset`, with the level of its curriculum if it has one."""
        nothing = jnp.zeros((self.plans.commit, self.env.action_size), jnp.float32)
        state = self._show(self.env.reset(rng, *level), nothing, jnp.int32(self.plans.commit - 1))
        return state.replace(info=restarts.remember_more(state.info))

    def step(self, state: State, action: jax.Array) -> State:
        """As the task's own `step`, and then, once in `commit` control steps, a look ahead."""
        state = state.replace(info=restarts.recall(state))
        plan, row = state.info["plan"], state.info["plan_row"] + 1
        after = self.env.step(state, action)
        key, rng = jax.random.split(after.info["rng"])
        after = after.replace(info=after.info | {"rng": rng})
        plan = self._choose(row >= self.plans.commit, plan, key, after)
        return self._show(after, plan, row % self.plans.commit)

    def _plan(self, key: jax.Array, state: State) -> jax.Array:
        """What the course that turns out best adds to the expert's actions, (commit, n)."""
        key_push, key_luck = jax.random.split(key)
        start = state.replace(info=state.info | {"rng": key_luck})
        worth, added = jax.vmap(lambda course: self._follow(start, course))(self._courses(key_push))
        return added[jnp.argmax(worth), : self.plans.commit].astype(jnp.float32)

    def _courses(self, key: jax.Array) -> Course:
        """All that are tried, fields (courses, horizon, ...); the first is the expert's own."""
        config, n = self.plans, self.env.action_size
        moments = -(-config.horizon // config.lasts)
        push = jax.random.normal(key, (config.candidates, moments, n), jnp.float32)
        strength = np.append(0.0, np.linspace(0.5, 1.0, config.candidates - 1)).astype(np.float32)
        push *= config.push * strength[:, None, None]
        push = jnp.repeat(push, config.lasts, axis=1)[:, : config.horizon]
        pushed = Course(push, jnp.zeros(push.shape, bool), jnp.zeros_like(push[..., 0]))
        if not config.regrasps:
            return pushed
        fingers = kinematics.joints_that_move(self.env.hand)[:, : self.env.hand.num_tips].T
        fingers = np.concatenate([np.zeros((1, n), bool), fingers])[:, None]  # none, then each
        regrasp = jnp.asarray(fingers & (np.arange(config.horizon) < config.lasts)[None, :, None])
        zero = jnp.zeros(regrasp.shape, push.dtype)
        carried = Course(zero, regrasp, jnp.full_like(zero[..., 0], config.carry))
        return jax.tree.map(lambda *both: jnp.concatenate(both), pushed, carried)

    def _follow(self, state: State, course: Course) -> tuple[jax.Array, jax.Array]:
        """What a course is expected to earn, (), and what it adds to the expert's actions, (horizon, n).

        Earned are scaled rewards, and the critic's word at the end.
        """
        discount, scale = self.expert.config["critic"]["discount"], self.expert.config["critic"]["reward_scale"]

        def step(now: tuple, course: Course) -> tuple[tuple, jax.Array]:
            state, earned, weight = now  # `weight` is 0 once the object is lost
            own = self.expert.act(state.obs) + self._always(state)
            added = self._added(state, course, own)
            after = self.env.step(state, jnp.clip(own + added, -1.0, 1.0))
            done = after.done.astype(weight.dtype)  # of an episode's end, 64 bits where those are enabled
            worth = scale * after.reward - self.plans.drop_cost * done
            earned += jnp.where(weight > 0, weight * worth, 0.0)
            return (after, earned, weight * discount * (1.0 - done)), added

        start = state, jnp.zeros_like(state.reward), jnp.ones_like(state.reward)
        (end, earned, weight), added = jax.lax.scan(step, start, course)
        return earned + jnp.where(weight > 0, weight * self.expert.value(end.obs), 0.0), added

    def _added(self, state: State, course: Course, own: jax.Array) -> jax.Array:
        """What a course adds to the expert's `own` action (n,) in one control step."""
        if not self.plans.regrasps:
            return course.push
        carry = state.obs["carry"]
        there = jnp.clip(self.env.toward_grasp(state.info) - self.plans.windup * carry, -1.0, 1.0)
        return jnp.where(course.regrasp, there - own, self.plans.speed * (course.push + course.carry * carry))

    def _always(self, state: State) -> jax.Array:
        """What is added to the expert's action (n,) whatever the course; `state` is the task's, which shows no plan."""
        if not self.plans.regrasps:
            return jnp.zeros((), jnp.float32)
        pull = self.plans.pull * self.env.toward_grasp(state.info)
        return pull if self.plans.speed == 1 else pull + (self.plans.speed - 1) * self.expert.act(state.obs)

    def _show(self, state: State, plan: jax.Array, row: jax.Array) -> State:
        push = plan[row] + self._always(state)
        return state.replace(obs=state.obs | {"push": push}, info=state.info | {"plan": plan, "plan_row": row})
