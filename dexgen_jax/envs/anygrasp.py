"""Anygrasp-to-Anygrasp: bring hand and object from any grasp to another near it, and then on to the next.

Source: arXiv:2502.04307, section III-B. An episode starts at a random grasp; goals roll on by nearest neighbours
without a reset; it ends when the object is dropped (termination) or the time is up (truncation), which stay two arrays.
"""

import dataclasses

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State

from dexgen_jax.envs import observations, randomization, rewards
from dexgen_jax.envs.randomization import RandomizationConfig
from dexgen_jax.envs.rewards import RewardWeights
from dexgen_jax.grasps.library import GraspLibrary
from dexgen_jax.hand import kinematics
from dexgen_jax.physics.engine import CONTROL_HZ, Engine, PhysicsState


@dataclasses.dataclass(frozen=True)
class AnygraspConfig:
    """The task. Weights and ranges have configs of their own."""

    action_scale: float = 0.15  # rad of joint target per control step at |action| = 1
    episode_steps: int = 200  # control steps of 0.1 s until truncation
    position_tolerance: float = 0.025  # m
    angle_tolerance: float = 0.4  # rad
    joint_tolerance: float = 0.6  # rad, root mean square
    hold_steps: int = 2  # a goal counts once it is held this long: shaking passes through it by chance
    drop_distance: float = 0.10  # m from where grasps hold their objects
    reward: RewardWeights = RewardWeights()
    randomization: RandomizationConfig = RandomizationConfig()


class Anygrasp(Env):
    """Brax environment; all of a step's randomness comes from `state.info['rng']`."""

    def __init__(self, config: AnygraspConfig, engine: Engine, library: GraspLibrary):
        self.config, self.engine, self.library, self.hand = config, engine, library, engine.hand

    @property
    def action_size(self) -> int:
        return self.hand.num_joints

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        state = jax.eval_shape(self.reset, jax.random.PRNGKey(0))
        return {name: value.shape for name, value in state.obs.items()}

    @property
    def backend(self) -> str:
        return self.engine.name

    def reset(self, rng: jax.Array) -> State:
        """Puts an object into the hand at a random grasp of the library, in a world of its own."""
        key_row, key_goal, key_world, key_joints, key_offset, key_read, rng = jax.random.split(rng, 7)
        ranges, library = self.config.randomization, self.library
        row = library.draw_start(key_row)
        world = randomization.sample_world(key_world, self.engine.object(library.object_index[row]), ranges)
        shift = ranges.start_joints * jax.random.uniform(key_joints, (self.action_size,), minval=-1.0)
        q = jnp.clip(library.q[row] + shift, self.hand.lower, self.hand.upper)
        physics = self.engine.init(jnp.concatenate([q, library.object_pose[row]]))
        zero = jnp.zeros(())
        info = {
            "rng": rng,
            "world": world,
            "target": library.target[row],
            "joint_offset": ranges.joint_offset * jax.random.normal(key_offset, q.shape),
            "goal": library.draw_goal(key_goal, row),
            "held": jnp.zeros((), jnp.int32),
            "age": jnp.zeros((), jnp.int32),
            "goals": jnp.zeros((), jnp.int32),
            "truncation": zero,
        }
        info["reading"] = self._read(key_read, physics, info["joint_offset"])
        metrics = {name: zero for name in (*self._term_names(), *_EVENTS)}
        state = State(physics, {}, zero, zero, metrics, info | self._views(physics, world))
        return state.replace(obs=self._observe(physics, info))

    def step(self, state: State, action: jax.Array) -> State:
        """Moves the joint targets by `action` (n,) in [-1, 1] times `action_scale` and simulates 0.1 s."""
        config, info, hand = self.config, state.info, self.hand
        key_world, key_action, key_read, key_goal, rng = jax.random.split(info["rng"], 5)
        noise = config.randomization.action_noise * jax.random.normal(key_action, action.shape)
        move = config.action_scale * (jnp.clip(action, -1.0, 1.0) + noise)
        target = jnp.clip(info["target"] + move, hand.lower, hand.upper)
        world = randomization.move_world(key_world, info["world"], config.randomization)
        before = state.pipeline_state
        physics = self.engine.step(before, target, world)
        # A simulation that blew up is held where it was, so no NaN spreads; the episode ends as a drop and is counted.
        physics = jax.tree.map(lambda new, old: jnp.where(physics.finite, new, old), physics, before).replace(
            finite=physics.finite
        )

        goal = info["goal"]
        sizes = self._error(physics, goal).sizes()
        held = jnp.where(self._reached(sizes), info["held"] + 1, 0)
        success = held >= config.hold_steps
        far = jnp.linalg.norm(physics.object_pose(hand)[:3] - self.library.centre) > config.drop_distance
        drop = far | ~physics.finite
        terms = rewards.progress(self._error(before, goal).sizes(), sizes)
        terms |= rewards.effort(action, physics, self._tips(physics) - self._tips(before), 1 / CONTROL_HZ)
        terms |= {"success": success.astype(jnp.float32), "drop": drop.astype(jnp.float32)}
        weighted = rewards.weigh(terms, config.reward)

        age = info["age"] + 1
        info = info | {
            "rng": rng,
            "world": world,
            "target": target,
            "reading": self._read(key_read, physics, info["joint_offset"]),
            "goal": jnp.where(success, self.library.draw_goal(key_goal, goal), goal),
            "held": jnp.where(success, 0, held),
            "age": age,
            "goals": info["goals"] + success,
            "truncation": ((age >= config.episode_steps) & ~drop).astype(jnp.float32),
        }
        events = {"success": terms["success"], "drop": terms["drop"], "blown_up": 1.0 - physics.finite}
        metrics = {f"reward_{name}": value for name, value in weighted.items()} | events
        return state.replace(
            pipeline_state=physics, obs=self._observe(physics, info), reward=sum(weighted.values()),
            done=drop.astype(jnp.float32), metrics=metrics, info=info | self._views(physics, world),
        )  # fmt: skip

    def _term_names(self) -> list[str]:
        return [f"reward_{field.name}" for field in dataclasses.fields(RewardWeights)]

    def _read(self, key: jax.Array, physics: PhysicsState, offset: jax.Array) -> jax.Array:
        q = physics.joints(self.hand)
        return q + offset + self.config.randomization.joint_noise * jax.random.normal(key, q.shape)

    def _error(self, physics: PhysicsState, goal: jax.Array) -> observations.GoalError:
        goal_q, goal_pose = self.library.q[goal], self.library.object_pose[goal]
        return observations.goal_error(physics.joints(self.hand), physics.object_pose(self.hand), goal_q, goal_pose)

    def _reached(self, sizes: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        shift, angle, joints = sizes
        config = self.config
        near = (shift < config.position_tolerance) & (angle < config.angle_tolerance)
        return near & (joints < config.joint_tolerance)

    def _tips(self, physics: PhysicsState) -> jax.Array:
        return kinematics.keypoints(self.hand, physics.joints(self.hand))[: self.hand.num_tips]

    def _views(self, physics: PhysicsState, world: randomization.World) -> dict[str, jax.Array]:
        """What collectors and evaluators read without knowing the physics state."""
        return {
            "q": physics.joints(self.hand), "object_pose": physics.object_pose(self.hand),
            "gravity": world.gravity, "touch": physics.touch,
        }  # fmt: skip

    def _observe(self, physics: PhysicsState, info: dict) -> dict[str, jax.Array]:
        error = self._error(physics, info["goal"])
        error = error.replace(joints=self.library.q[info["goal"]] - info["reading"])
        seen = observations.actor(self.hand, info["reading"], info["target"], physics, error, info["world"])
        everything = observations.critic(seen, physics, physics.joints(self.hand), info["world"], info["held"])
        return {"state": seen, "privileged_state": everything}


_EVENTS = ("success", "drop", "blown_up")
