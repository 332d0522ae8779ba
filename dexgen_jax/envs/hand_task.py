"""What the tasks share: an action moves joint targets, the world moves too, and joints are read with noise."""

from typing import Any

import jax
import jax.numpy as jnp
from brax.envs.base import Env, State

from dexgen_jax.envs import randomization, restarts
from dexgen_jax.grasps.library import GraspLibrary
from dexgen_jax.hand import kinematics, registry
from dexgen_jax.physics.engine import Engine
from dexgen_jax.physics.state import PhysicsState
from dexgen_jax.physics.world import World


def narrow(state: State) -> State:
    """The state in 32 bits, as it is without JAX_ENABLE_X64: what a reset gives and what a step gives must be alike.

    The ends of episodes, and what wrappers put into `info`, are what JAX takes for a float, as in Brax's wrappers.
    """
    bits = {jnp.dtype("float64"): jnp.float32, jnp.dtype("int64"): jnp.int32}
    own = restarts.own(state.info)
    small = jax.tree.map(lambda x: x.astype(bits.get(x.dtype, x.dtype)), state.replace(info=own))
    truncation = state.info["truncation"].astype(float)
    return small.replace(done=state.done.astype(float), info=state.info | small.info | {"truncation": truncation})


class HandTask(Env):
    """A Brax environment around an engine; its config has `action_scale`, `episode_steps` and `randomization`."""

    def __init__(self, config: Any, engine: Engine, library: GraspLibrary):
        registry.refuse_other("the grasp library", library.hand_name, engine.hand.name)
        joints, objects = library.q.shape[1], int(library.object_index.max()) + 1
        if joints != engine.hand.num_joints or objects > len(engine.objects.kind):
            raise ValueError(
                f"the grasps are for a hand of {joints} joints and for {objects} objects, the engine has hand "
                f"{engine.hand.name!r} of {engine.hand.num_joints} joints and {len(engine.objects.kind)} objects: load "
                "the grasps of this hand and build the engine with the objects of the library"
            )
        self.config, self.engine, self.library, self.hand = config, engine, library, engine.hand
        self._sizes: dict[str, tuple[int, ...]] = {}  # of observations, once somebody asked: tracing takes a second

    @property
    def action_size(self) -> int:
        return self.hand.num_joints

    @property
    def observation_size(self) -> dict[str, tuple[int, ...]]:
        if not self._sizes:
            state = jax.eval_shape(self.reset, jax.random.PRNGKey(0))
            self._sizes = {name: value.shape for name, value in state.obs.items()}
        return dict(self._sizes)

    @property
    def backend(self) -> str:
        return self.engine.name

    def toward_grasp(self, info: dict[str, Any]) -> jax.Array:
        """The action (n,), unbounded, after which the targets are those that hold the goal's grasp."""
        return (self.library.target[info["goal"]] - info["target"]) / self.config.action_scale

    def _begin(
        self, key: jax.Array, q: jax.Array, target: jax.Array, object_pose: jax.Array, world: World
    ) -> tuple[PhysicsState, dict[str, Any]]:
        """A simulation at rest near joints `q` (n,) [rad], and the entries of `info` that every task has."""
        key_joints, key_offset, key_read, rng = jax.random.split(key, 4)
        ranges = self.config.randomization
        shift = ranges.start_joints * jax.random.uniform(key_joints, q.shape, minval=-1.0)
        q = jnp.clip(q + shift, self.hand.lower, self.hand.upper)
        physics = self.engine.init(jnp.concatenate([q, object_pose]))
        offset = ranges.joint_offset * jax.random.normal(key_offset, q.shape)
        info = {
            "rng": rng, "world": world, "target": target, "joint_offset": offset,
            "reading": self._read(key_read, physics, offset), "age": jnp.zeros((), jnp.int32),
            "goals": jnp.zeros((), jnp.int32), "truncation": jnp.zeros(()),
        }  # fmt: skip
        return physics, info | self._views(physics, world)

    def _move(
        self,
        key: jax.Array,
        physics: PhysicsState,
        info: dict[str, Any],
        action: jax.Array,
        gravity_angle: jax.Array | None = None,
    ) -> tuple[PhysicsState, dict[str, Any]]:
        """Moves the joint targets by `action` (n,) in [-1, 1] times `action_scale` and simulates 0.1 s."""
        key_world, key_action, key_read = jax.random.split(key, 3)
        config, hand = self.config, self.hand
        noise = config.randomization.action_noise * jax.random.normal(key_action, action.shape)
        move = config.action_scale * (jnp.clip(action, -1.0, 1.0) + noise)
        target = jnp.clip(info["target"] + move, hand.lower, hand.upper)
        world = randomization.move_world(key_world, info["world"], config.randomization, gravity_angle)
        after = self.engine.step(physics, target, world)
        # A simulation that blew up is held where it was, so no NaN spreads; the task ends its episode.
        after = jax.tree.map(lambda new, old: jnp.where(after.finite, new, old), after, physics).replace(
            finite=after.finite
        )
        reading = self._read(key_read, after, info["joint_offset"])
        info = info | {"world": world, "target": target, "reading": reading, "age": info["age"] + 1}
        info |= {"control_steps": after.steps}
        return after, info | self._views(after, world)

    def _late(self, info: dict[str, Any], over: jax.Array) -> jax.Array:
        """1 where the time is up and the episode is not `over` anyway."""
        return ((info["age"] >= self.config.episode_steps) & ~over).astype(jnp.float32)

    def _read(self, key: jax.Array, physics: PhysicsState, offset: jax.Array) -> jax.Array:
        q = physics.joints(self.hand)
        return q + offset + self.config.randomization.joint_noise * jax.random.normal(key, q.shape)

    def _views(self, physics: PhysicsState, world: World) -> dict[str, jax.Array]:
        """What collectors and evaluators read without knowing the physics state."""
        return {
            "q": physics.joints(self.hand),
            "object_pose": physics.object_pose(self.hand),
            "gravity": world.gravity,
            "touch": physics.touch,
        }

    def _tip_travel(self, before: PhysicsState, after: PhysicsState) -> jax.Array:
        """How far each fingertip went, (tips, 3) m."""
        q = jnp.stack([state.joints(self.hand) for state in (before, after)])
        before, after = jax.vmap(lambda q: kinematics.keypoints(self.hand, q)[: self.hand.num_tips])(q)
        return after - before
