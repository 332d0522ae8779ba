"""Fine rotation: turn an elongated object, a screwdriver say, about its own axis with the fingertips, either way.

Source: arXiv:2502.04307, sections III-B and III-C (mode "precision rotation"). A marker turns at the commanded speed,
about the object's longest axis and in the place where the object was at the start; the object has to follow it.

The marker is the goal, seen and paid as one of Anygrasp-to-Anygrasp, so an expert of that task is a good beginning
(`--config.start_from`). Paid for its speed at each moment instead, a hand that still explores earns the worst whatever
it does: its shaking is faster than any command.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State

from dexgen_jax.defaults import require
from dexgen_jax.envs import observations, randomization, restarts, rewards
from dexgen_jax.envs.hand_task import HandTask, narrow
from dexgen_jax.envs.randomization import RandomizationConfig
from dexgen_jax.envs.rewards import RewardWeights
from dexgen_jax.hand import rotation
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.physics.state import PhysicsState

_STYLE = (1.0, 1.0)  # the weights alone make the style
_EVENTS = ("success", "drop", "blown_up", "turned")


@dataclasses.dataclass(frozen=True)
class FineRotationConfig:
    """The task; the objects of its library should be elongated."""

    action_scale: float = 0.15  # rad of joint target per control step at |action| = 1
    episode_steps: int = 200  # control steps of 0.1 s until truncation
    speed: tuple[float, float] = (0.3, 1.0)  # rad/s, range of the commanded speed, drawn either way
    turn: float = 0.8  # rad in the commanded direction that count as a goal; then the next command is drawn
    hold_steps: int = 5  # control steps that such a turn must last: shaking passes through it by chance
    most_lead: float = 0.8  # rad: the marker waits for an object that stays behind, and is taken along by one ahead
    drop_distance: float = 0.10  # m from where grasps hold their objects
    sees_all: bool = False  # the actor sees all that the simulator knows, and not only what the paper's does
    reward: RewardWeights = RewardWeights()
    randomization: RandomizationConfig = RandomizationConfig()

    def __post_init__(self) -> None:
        require(self, counts="episode_steps hold_steps", positive="action_scale turn most_lead drop_distance")


class FineRotation(HandTask):
    """Brax environment; all of a step's randomness comes from `state.info['rng']`."""

    config: FineRotationConfig

    @staticmethod
    def reflection(config: FineRotationConfig, hand: Hand) -> np.ndarray:
        """By what each entry of `state` (d,) is multiplied if the world is reflected, see `hand.mirror`."""
        hidden = observations.simulator_factors(hand) if config.sees_all else np.zeros(0, np.float32)
        return np.concatenate([observations.actor_factors(hand), hidden])

    def reset(self, rng: jax.Array) -> State:
        """Puts an object into the hand at a random grasp of the library, which is also where it should stay."""
        key_row, key_world, key_begin, key_command = jax.random.split(rng, 4)
        library, zero = self.library, jnp.zeros(())
        row = library.draw_start(key_row)
        thing = self.engine.object(library.object_index[row])
        world = randomization.sample_world(key_world, thing, self.config.randomization)
        physics, info = self._begin(key_begin, library.q[row], library.target[row], library.object_pose[row], world)
        info |= {"goal": row, "command": self._draw_command(key_command), "turned": zero}
        info |= {"held": jnp.zeros((), jnp.int32)}
        info |= {"angle": zero, "marker": zero}  # rad from the start: how far the object turned, and the marker
        names = [f"reward_{field.name}" for field in dataclasses.fields(RewardWeights)]
        metrics = dict.fromkeys((*names, *_EVENTS), zero)
        return narrow(State(physics, self._observe(physics, info), zero, zero, metrics, restarts.remember(info)))

    def step(self, state: State, action: jax.Array) -> State:
        """Moves the joint targets by `action` (n,) in [-1, 1] times `action_scale` and simulates 0.1 s."""
        config, before, info = self.config, state.pipeline_state, restarts.recall(state)
        key_move, key_command, rng = jax.random.split(info["rng"], 3)
        physics, info = self._move(key_move, before, info, action)
        axis, command = long_axis(info["world"].object), info["command"]
        step = turned(before.object_pose(self.hand)[3:], physics.object_pose(self.hand)[3:], axis)
        so_far, angle = info["turned"] + step * jnp.sign(command), info["angle"] + step
        held = jnp.where(so_far >= config.turn, info["held"] + 1, 0)
        success = held >= config.hold_steps
        drop = jnp.linalg.norm(physics.object_pose(self.hand)[:3] - self.library.centre) > config.drop_distance
        drop |= ~physics.finite

        info |= {"marker": info["marker"] + command / CONTROL_HZ}
        terms = rewards.progress(self._error(before, info).sizes(), self._error(physics, info).sizes())
        terms |= rewards.effort(action, physics, self._tip_travel(before, physics), 1 / CONTROL_HZ)
        terms |= {"success": success.astype(jnp.float32), "drop": drop.astype(jnp.float32)}
        weighted = rewards.weigh(terms, config.reward, jnp.asarray(_STYLE))
        marker = jnp.clip(info["marker"], angle - config.most_lead, angle + config.most_lead)
        info |= {
            "rng": rng,
            "command": jnp.where(success, self._draw_command(key_command), command),
            "turned": jnp.where(success, 0.0, so_far),
            "held": jnp.where(success, 0, held),
            "angle": angle,
            "marker": jnp.where(success, angle, marker),
            "goals": info["goals"] + success,
            "truncation": self._late(info, drop),
        }
        events = {"success": terms["success"], "drop": terms["drop"], "blown_up": 1.0 - physics.finite}
        metrics = {f"reward_{name}": value for name, value in weighted.items()} | events
        return narrow(state.replace(
            pipeline_state=physics, obs=self._observe(physics, info), reward=sum(weighted.values()),
            done=terms["drop"], metrics=metrics | {"turned": step * jnp.sign(command)}, info=info,
        ))  # fmt: skip

    def _draw_command(self, key: jax.Array) -> jax.Array:
        """A speed () [rad/s], negative half of the time."""
        key_speed, key_side = jax.random.split(key)
        low, high = self.config.speed
        speed = jax.random.uniform(key_speed, minval=low, maxval=high)
        return jnp.where(jax.random.bernoulli(key_side), speed, -speed)

    def _error(self, physics: PhysicsState, info: dict) -> observations.GoalError:
        """How far hand and object are from the marker: the grasp of the start, turned about the object's axis."""
        start = self.library.object_pose[info["goal"]]
        turn = rotation.from_rotation_vector(info["marker"] * long_axis(info["world"].object))
        marker = jnp.concatenate([start[:3], rotation.multiply(start[3:], turn)])
        pose = physics.object_pose(self.hand)
        return observations.goal_error(physics.joints(self.hand), pose, self.library.q[info["goal"]], marker)

    def _observe(self, physics: PhysicsState, info: dict) -> dict[str, jax.Array]:
        error = self._error(physics, info)
        read = error.replace(joints=self.library.q[info["goal"]] - info["reading"])
        seen = observations.actor(self.hand, info["reading"], info["target"], physics, read, info["world"])
        q, pose = physics.joints(self.hand), physics.object_pose(self.hand)
        carry = observations.carry(self.hand, q, pose, error)
        advice = jnp.concatenate([carry, self.library.target[info["goal"]] - info["target"]])
        # The marker never rests, and no command is given up: its age tells nothing.
        hidden = observations.simulator(self.hand, physics, info["world"], info["held"], jnp.zeros((), q.dtype), advice)
        everything = jnp.concatenate([seen, hidden])
        known = jnp.append(everything, info["turned"])
        if not self.config.sees_all:
            return {"state": seen, "privileged_state": known}
        return {"state": everything, "privileged_state": known, "carry": carry / self.config.action_scale}


def long_axis(thing: ObjectParams) -> jax.Array:
    """The axis (3,) an object turns about most easily, in its own frame: that of its length if it is elongated."""
    return rotation.rotate(thing.inertia_quat, jnp.eye(3)[jnp.argmin(thing.inertia)])


def turned(before: jax.Array, after: jax.Array, axis: jax.Array) -> jax.Array:
    """Angle () [rad] between two orientations (4,) about the object's own `axis` (3,)."""
    return rotation.to_rotation_vector(rotation.multiply(rotation.conjugate(before), after)) @ axis
