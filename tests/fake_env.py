"""An environment with the Brax API and no physics: joints follow targets, and straying too far drops the object."""

import types

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State
from flax import struct

from dexgen_jax.envs.hand_task import HandTask
from dexgen_jax.hand import allegro


@struct.dataclass
class FakeLibrary:
    object_index: jax.Array  # (grasps,)
    object_pose: jax.Array  # (grasps, 7)


@struct.dataclass
class FakeWorld:
    object: dict


class FakeEnv(Env):
    """The object lies in the hand until the mean distance of the joints from the start exceeds `reach`.

    A goal is reached every `goal_steps` steps. `episode_steps` is the time limit. With `limits` joint targets
    stay in the hand's range, as in the real environments.
    """

    def __init__(self, reach: float = 0.3, goal_steps: int = 7, episode_steps: int = 10_000, limits: bool = False):
        self.hand, self.reach, self.goal_steps, self.episode_steps = allegro.load(), reach, goal_steps, episode_steps
        self.limits, self.engine = limits, types.SimpleNamespace(scene="scene", compiler_options=None)
        self.library = FakeLibrary(jnp.array([0, 1, 1]), jnp.eye(3, 7))
        self.config = type("Config", (), {"action_scale": 0.15, "episode_steps": episode_steps})

    @property
    def action_size(self) -> int:
        return self.hand.num_joints

    @property
    def observation_size(self) -> dict:
        return {"state": (self.action_size,)}

    @property
    def backend(self) -> str:
        return "fake"

    def reset(self, rng: jax.Array) -> State:
        rng, key_start, key_goal = jax.random.split(rng, 3)
        middle = 0.5 * (self.hand.lower + self.hand.upper)
        start = middle + 0.05 * jax.random.uniform(key_start, (self.action_size,))
        zero = jnp.zeros(())
        info = {
            "rng": rng, "start": start, "q": start, "reading": start, "target": start,
            "goal": jax.random.randint(key_goal, (), 0, 3), "age": jnp.zeros((), jnp.int32),
            "goals": jnp.zeros((), jnp.int32), "truncation": zero, "gravity": jnp.array([-9.81, 0.0, 0.0]),
            "world": FakeWorld({"size": jnp.full(3, 0.03)}),
            "object_pose": jnp.zeros(7).at[3].set(1.0), "touch": jnp.ones(len(self.hand.touch_names)),
        }  # fmt: skip
        metrics = dict.fromkeys(("success", "given_up", "drop", "blown_up"), zero)
        return State(start, {"state": start}, zero, zero, metrics, info)

    toward_grasp = HandTask.toward_grasp

    def step(self, state: State, action: jax.Array) -> State:
        info = state.info
        rng, _ = jax.random.split(info["rng"])
        target = info["target"] + self.config.action_scale * jnp.clip(action, -1, 1)
        target = jnp.clip(target, self.hand.lower, self.hand.upper) if self.limits else target
        q = target - 0.01
        drop = (jnp.mean(jnp.abs(q - info["start"])) > self.reach).astype(jnp.float32)
        age = info["age"] + 1
        success = (age % self.goal_steps == 0).astype(jnp.float32)
        late = ((age >= self.episode_steps) & (drop == 0)).astype(jnp.float32)
        info = info | {
            "rng": rng, "target": target, "q": q, "reading": q, "age": age, "truncation": late,
            "goals": info["goals"] + success.astype(jnp.int32),
        }  # fmt: skip
        metrics = {"success": success, "given_up": jnp.zeros(()), "drop": drop, "blown_up": jnp.zeros(())}
        return state.replace(pipeline_state=q, obs={"state": q}, done=drop, metrics=metrics, info=info)


class TrainableEnv(FakeEnv):
    """With what a critic sees, and an engine that does nothing: all that a training or its benchmark asks for."""

    engine = types.SimpleNamespace(name="fake", step=lambda physics, ctrl, world: physics + 0.0)

    @property
    def observation_size(self) -> dict:
        return {"state": (self.action_size,), "privileged_state": (self.action_size,)}

    def reset(self, rng: jax.Array) -> State:
        return self._shown(super().reset(rng))

    def step(self, state: State, action: jax.Array) -> State:
        return self._shown(super().step(state, action))

    def _shown(self, state: State) -> State:
        return state.replace(obs=state.obs | {"privileged_state": state.obs["state"]})
