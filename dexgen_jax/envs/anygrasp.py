"""Anygrasp-to-Anygrasp: bring hand and object from any grasp to another near it, and then on to the next.

Source: arXiv:2502.04307, section III-B. An episode starts at a random grasp; goals roll on by nearest neighbours
without a reset; it ends when the object is dropped (termination) or the time is up (truncation), which stay two arrays.
Training may begin with an easier task (`curriculum`) and show the policy in which style to act (`rewards.StyleRanges`).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State

from dexgen_jax.defaults import require
from dexgen_jax.envs import curriculum, observations, randomization, restarts, rewards
from dexgen_jax.envs.curriculum import CurriculumConfig
from dexgen_jax.envs.hand_task import HandTask, narrow
from dexgen_jax.envs.randomization import RandomizationConfig
from dexgen_jax.envs.rewards import RewardWeights, StyleRanges
from dexgen_jax.hand.description import Hand
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.physics.state import PhysicsState

_EVENTS = ("success", "given_up", "drop", "blown_up")


@dataclasses.dataclass(frozen=True)
class AnygraspConfig:
    """The task. Weights, styles, ranges and the curriculum have configs of their own."""

    action_scale: float = 0.15  # rad of joint target per control step at |action| = 1
    episode_steps: int = 200  # control steps of 0.1 s until truncation
    position_tolerance: float = 0.025  # m
    angle_tolerance: float = 0.4  # rad
    joint_tolerance: float = 0.6  # rad, root mean square
    hold_steps: int = 5  # a goal counts once it is held this long: shaking passes through it by chance
    goal_steps: int = 100  # a goal not reached by then is given up for another: one hard goal must not stop an episode
    drop_distance: float = 0.10  # m from where grasps hold their objects
    sees_all: bool = False  # the actor sees all that the simulator knows, and not only what the paper's does
    reward: RewardWeights = RewardWeights()
    style: StyleRanges = StyleRanges()
    curriculum: CurriculumConfig = CurriculumConfig()
    randomization: RandomizationConfig = RandomizationConfig()

    def __post_init__(self) -> None:
        require(
            self,
            counts="episode_steps hold_steps goal_steps",
            positive="action_scale position_tolerance angle_tolerance joint_tolerance drop_distance",
        )


class Anygrasp(HandTask):
    """Brax environment; all of a step's randomness comes from `state.info['rng']`."""

    config: AnygraspConfig

    @staticmethod
    def reflection(config: AnygraspConfig, hand: Hand) -> np.ndarray:
        """By what each entry of `state` (d,) is multiplied if the world is reflected, see `hand.mirror`."""
        hidden = observations.simulator_factors(hand) if config.sees_all else np.zeros(0, np.float32)
        style = np.ones(2 if config.style.shown else 0, np.float32)
        return np.concatenate([observations.actor_factors(hand), hidden, style])

    @property
    def first_level(self) -> float:
        """The level of the curriculum a training begins with."""
        return self.config.curriculum.start

    def next_level(self, level: jax.Array, metrics: dict[str, jax.Array]) -> jax.Array:
        """The level after a rollout, from the means of its metrics."""
        return curriculum.advance(level, metrics["success"] * CONTROL_HZ * 60, self.config.curriculum)

    @property
    def tolerances(self) -> tuple[float, float, float]:
        """Within which a goal counts: m, rad, rad rms."""
        return self.config.position_tolerance, self.config.angle_tolerance, self.config.joint_tolerance

    def reset(self, rng: jax.Array, level: jax.Array | float = 1.0, start: jax.Array | None = None) -> State:
        """Puts an object into the hand at a grasp of the library, in a world of its own.

        `level` () from 0 to 1 is how hard the task is, 1 in full. `start` () is the row of the grasp; without it, any.
        """
        key_row, key_goal, key_world, key_begin, key_style = jax.random.split(rng, 5)
        config, library, level = self.config, self.library, jnp.asarray(level, jnp.float32)
        row = library.draw_start(key_row) if start is None else start
        thing = self.engine.object(library.object_index[row])
        world = randomization.sample_world(key_world, thing, config.randomization, self._gravity_angle(level))
        physics, info = self._begin(key_begin, library.q[row], library.target[row], library.object_pose[row], world)
        info |= {
            "origin": row,
            "goal": self._draw_goal(key_goal, row, physics, level),
            "goal_age": jnp.zeros((), jnp.int32),
            "held": jnp.zeros((), jnp.int32),
            "level": level,
            "style": rewards.draw_style(key_style, config.style),
        }
        zero, info = jnp.zeros(()), restarts.remember(info)
        names = [f"reward_{field.name}" for field in dataclasses.fields(RewardWeights)]
        metrics = dict.fromkeys((*names, *_EVENTS), zero)
        return narrow(State(physics, self.observe(physics, info), zero, zero, metrics, info))

    def step(self, state: State, action: jax.Array) -> State:
        """Moves the joint targets by `action` (n,) in [-1, 1] times `action_scale` and simulates 0.1 s."""
        config, before, info = self.config, state.pipeline_state, restarts.recall(state)
        key_move, key_goal, rng = jax.random.split(info["rng"], 3)
        goal, level, age = info["goal"], info["level"], info["goal_age"] + 1
        physics, info = self._move(key_move, before, info, action, self._gravity_angle(level))

        sizes = self._error(physics, goal).sizes()
        held = jnp.where(self._reached(sizes, level), info["held"] + 1, 0)
        success = held >= config.hold_steps
        far = jnp.linalg.norm(physics.object_pose(self.hand)[:3] - self.library.centre) > config.drop_distance
        drop = far | ~physics.finite
        terms = rewards.progress(self._error(before, goal).sizes(), sizes)
        terms |= rewards.effort(action, physics, self._tip_travel(before, physics), 1 / CONTROL_HZ)
        terms |= {"success": success.astype(jnp.float32), "drop": drop.astype(jnp.float32)}
        weighted = rewards.weigh(terms, config.reward, info["style"])

        # The next goal is near the grasp that was reached, or, when this one is given up, near the one before it.
        given_up = ~success & (held == 0) & (age >= config.goal_steps)
        origin, over = jnp.where(success, goal, info["origin"]), success | given_up
        then = self._draw_goal(key_goal, origin, physics, level)
        info |= {
            "rng": rng,
            "origin": origin,
            "goal": jnp.where(over, then, goal),
            "goal_age": jnp.where(over, 0, age),
            "held": jnp.where(success, 0, held),
            "goals": info["goals"] + success,
            "truncation": self._late(info, drop),
        }
        events = {"success": terms["success"], "drop": terms["drop"], "blown_up": 1.0 - physics.finite}
        events |= {"given_up": given_up.astype(jnp.float32)}
        metrics = {f"reward_{name}": value for name, value in weighted.items()} | events
        return narrow(state.replace(
            pipeline_state=physics, obs=self.observe(physics, info), reward=sum(weighted.values()),
            done=drop.astype(jnp.float32), metrics=metrics, info=info,
        ))  # fmt: skip

    def _error(self, physics: PhysicsState, goal: jax.Array) -> observations.GoalError:
        goal_q, goal_pose = self.library.q[goal], self.library.object_pose[goal]
        return observations.goal_error(physics.joints(self.hand), physics.object_pose(self.hand), goal_q, goal_pose)

    def _gravity_angle(self, level: jax.Array) -> jax.Array:
        return curriculum.gravity_angle(self.config.curriculum, self.config.randomization.gravity_angle, level)

    def _draw_goal(self, key: jax.Array, row: jax.Array, physics: PhysicsState, level: jax.Array) -> jax.Array:
        """Draws the row () of the goal to reach from grasp `row` ().

        How near goals are is measured from where the object really is, which may be far from where it should be.
        """
        keys = jax.random.split(key, 1 + self.config.curriculum.nearest_of)
        goals = jax.vmap(lambda key: self.library.draw_goal(key, row))(keys[1:])
        sizes = jax.vmap(lambda goal: self._error(physics, goal).sizes())(goals)
        return goals[curriculum.choose(keys[0], rewards.distance(sizes), level)]

    def _reached(self, sizes: tuple[jax.Array, jax.Array, jax.Array], level: jax.Array) -> jax.Array:
        factor = curriculum.tolerance_factor(self.config.curriculum, level)
        return jnp.all(jnp.stack(sizes) < factor * jnp.asarray(self.tolerances))

    def observe(self, physics: PhysicsState, info: dict) -> dict[str, jax.Array]:
        """What is seen of a state whose goal is `info["goal"]`."""
        error = self._error(physics, info["goal"])
        read = error.replace(joints=self.library.q[info["goal"]] - info["reading"])
        seen = observations.actor(self.hand, info["reading"], info["target"], physics, read, info["world"])
        carry = observations.carry(self.hand, physics.joints(self.hand), physics.object_pose(self.hand), error)
        grip = self.library.target[info["goal"]] - info["target"]  # what is left to the targets that hold the goal
        hidden = observations.simulator(
            self.hand, physics, info["world"], info["held"], info["goal_age"], jnp.concatenate([carry, grip])
        )
        style = info["style"] if self.config.style.shown else jnp.zeros(0, carry.dtype)
        everything = jnp.concatenate([seen, hidden, style])
        if not self.config.sees_all:
            return {"state": jnp.concatenate([seen, style]), "privileged_state": everything}
        advice = {"carry": carry / self.config.action_scale}
        return {"state": everything, "privileged_state": everything, **advice}
