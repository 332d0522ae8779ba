"""Fine rotation: turn an elongated object, a screwdriver say, about its own axis with the fingertips, either way.

Source: arXiv:2502.04307, sections III-B and III-C (mode "precision rotation"). The policy is told a speed; the object
has to turn at that speed about its longest axis while the axis and the object's place stay as at the start.

A marker turns at the commanded speed, and what is paid is getting nearer to it. Paid for its speed at each moment
instead, a hand that still explores earns the worst whatever it does: its shaking is faster than any command. Tilt and
shift are paid as progress, too: as a cost per step they make an early drop the cheapest life.
"""

import dataclasses

import jax
import jax.numpy as jnp
from brax.envs.base import State

from dexgen_jax.envs import observations, randomization, rewards
from dexgen_jax.envs.hand_task import HandTask
from dexgen_jax.envs.randomization import RandomizationConfig
from dexgen_jax.hand import rotation
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics.engine import CONTROL_HZ, PhysicsState

_STYLE = (1.0, 1.0)  # the weights alone make the style


@dataclasses.dataclass(frozen=True)
class TurnWeights:
    """Reward per unit of each term."""

    turn: float = 2.0  # per 0.4 rad the object comes nearer to the marker
    tilt: float = 1.0  # per 0.4 rad the axis comes nearer to where it was at the start
    shift: float = 0.5  # per 2 cm the object comes nearer to where it was at the start
    drop: float = -3.0  # per drop
    action: float = -0.005  # per mean squared action
    torque: float = -0.01  # per squared N m, summed over the joints
    work: float = -0.02  # per W of |torque . joint speed|
    tip_speed: float = 0.0  # per m/s, mean over the fingertips


@dataclasses.dataclass(frozen=True)
class FineRotationConfig:
    """The task; the objects of its library should be elongated."""

    action_scale: float = 0.15  # rad of joint target per control step at |action| = 1
    episode_steps: int = 200  # control steps of 0.1 s until truncation
    speed: tuple[float, float] = (0.3, 1.0)  # rad/s, range of the commanded speed, drawn either way
    turn: float = 0.8  # rad in the commanded direction that count as a goal; then the next command is drawn
    most_lead: float = 0.4  # rad: the marker waits for an object that stays behind, and is taken along by one ahead
    drop_distance: float = 0.10  # m from where grasps hold their objects
    reward: TurnWeights = TurnWeights()
    randomization: RandomizationConfig = RandomizationConfig()


class FineRotation(HandTask):
    """Brax environment; all of a step's randomness comes from `state.info['rng']`."""

    config: FineRotationConfig

    def reset(self, rng: jax.Array) -> State:
        """Puts an object into the hand at a random grasp of the library, which is also where it should stay."""
        key_row, key_world, key_begin, key_command = jax.random.split(rng, 4)
        library, zero = self.library, jnp.zeros(())
        row = library.draw_start(key_row)
        thing = self.engine.object(library.object_index[row])
        world = randomization.sample_world(key_world, thing, self.config.randomization)
        physics, info = self._begin(key_begin, library.q[row], library.target[row], library.object_pose[row], world)
        info |= {"goal": row, "command": self._draw_command(key_command), "turned": zero, "lead": zero}
        names = [f"reward_{field.name}" for field in dataclasses.fields(TurnWeights)]
        metrics = dict.fromkeys((*names, "success", "drop", "blown_up", "turned"), zero)
        return State(physics, self._observe(physics, info), zero, zero, metrics, info)

    def step(self, state: State, action: jax.Array) -> State:
        """Moves the joint targets by `action` (n,) in [-1, 1] times `action_scale` and simulates 0.1 s."""
        config, before = self.config, state.pipeline_state
        key_move, key_command, rng = jax.random.split(state.info["rng"], 3)
        physics, info = self._move(key_move, before, state.info, action)
        axis, command = long_axis(info["world"].object), info["command"]
        step = turned(before.object_pose(self.hand)[3:], physics.object_pose(self.hand)[3:], axis)
        so_far = info["turned"] + step * jnp.sign(command)
        success = so_far >= config.turn
        drop = jnp.linalg.norm(physics.object_pose(self.hand)[:3] - self.library.centre) > config.drop_distance
        drop |= ~physics.finite

        shift, tilt, _ = (
            was - now
            for was, now in zip(*(self._place(p, info["goal"], axis).sizes() for p in (before, physics)), strict=True)
        )
        nearer, lead = follow(info["lead"], step * jnp.sign(command), jnp.abs(command) / CONTROL_HZ, config.most_lead)
        terms = rewards.effort(action, physics, self._tip_travel(before, physics), 1 / CONTROL_HZ)
        terms |= {
            "turn": nearer / rewards.ANGLE_UNIT, "tilt": tilt / rewards.ANGLE_UNIT,
            "shift": shift / rewards.POSITION_UNIT, "drop": drop.astype(jnp.float32),
        }  # fmt: skip
        weighted = rewards.weigh(terms, config.reward, jnp.asarray(_STYLE))
        info |= {
            "rng": rng, "command": jnp.where(success, self._draw_command(key_command), command),
            "turned": jnp.where(success, 0.0, so_far), "lead": jnp.where(success, 0.0, lead),
            "goals": info["goals"] + success, "truncation": self._late(info, drop),
        }  # fmt: skip
        events = {"success": success.astype(jnp.float32), "drop": terms["drop"], "blown_up": 1.0 - physics.finite}
        metrics = {f"reward_{name}": value for name, value in weighted.items()} | events
        return state.replace(
            pipeline_state=physics, obs=self._observe(physics, info), reward=sum(weighted.values()),
            done=terms["drop"], metrics=metrics | {"turned": step * jnp.sign(command)}, info=info,
        )  # fmt: skip

    def _draw_command(self, key: jax.Array) -> jax.Array:
        """A speed () [rad/s], negative half of the time."""
        key_speed, key_side = jax.random.split(key)
        low, high = self.config.speed
        speed = jax.random.uniform(key_speed, minval=low, maxval=high)
        return jnp.where(jax.random.bernoulli(key_side), speed, -speed)

    def _place(self, physics: PhysicsState, row: jax.Array, axis: jax.Array) -> observations.GoalError:
        """How far the object is from its place at the start; turning about its axis leaves `rotation` zero."""
        pose, start = physics.object_pose(self.hand), self.library.object_pose[row]
        now, then = rotation.rotate(pose[3:], axis), rotation.rotate(start[3:], axis)
        joints = self.library.q[row] - physics.joints(self.hand)
        return observations.GoalError(start[:3] - pose[:3], _between_axes(now, then), joints)

    def _observe(self, physics: PhysicsState, info: dict) -> dict[str, jax.Array]:
        axis = long_axis(info["world"].object)
        place = self._place(physics, info["goal"], axis)
        place = place.replace(joints=self.library.q[info["goal"]] - info["reading"])
        seen = observations.actor(self.hand, info["reading"], info["target"], physics, place, info["world"])
        in_palm = rotation.rotate(physics.object_pose(self.hand)[3:], axis)
        seen = jnp.concatenate([seen, in_palm, info["lead"][None], info["command"][None]])
        joints = physics.joints(self.hand)
        return {
            "state": seen,
            "privileged_state": observations.critic(seen, physics, joints, info["world"], info["turned"]),
        }


def long_axis(thing: ObjectParams) -> jax.Array:
    """The axis (3,) an object turns about most easily, in its own frame: that of its length if it is elongated."""
    return rotation.rotate(thing.inertia_quat, jnp.eye(3)[jnp.argmin(thing.inertia)])


def turned(before: jax.Array, after: jax.Array, axis: jax.Array) -> jax.Array:
    """Angle () [rad] between two orientations (4,) about the object's own `axis` (3,)."""
    return rotation.to_rotation_vector(rotation.multiply(rotation.conjugate(before), after)) @ axis


def follow(lead: jax.Array, step: jax.Array, ahead: jax.Array, most: float) -> tuple[jax.Array, jax.Array]:
    """How much nearer the object came to a marker () that is `lead` () before it and goes on by `ahead` (); new lead.

    `step` () is how far the object turned the commanded way; all in rad.
    """
    gap = lead + ahead
    return jnp.abs(gap) - jnp.abs(gap - step), jnp.clip(gap - step, -most, most)


def _between_axes(now: jax.Array, then: jax.Array) -> jax.Array:
    """The shortest rotation vector (3,) [rad] that brings the unit vector `now` to `then`."""
    across = jnp.cross(now, then)
    sine = jnp.linalg.norm(across)
    return across / jnp.maximum(sine, 1e-6) * jnp.arctan2(sine, now @ then)
