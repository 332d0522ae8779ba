"""Domain randomisation: each environment draws its own world, and the world keeps moving.

Ranges are the paper's Table III (arXiv:2502.04307) unless said otherwise.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.hand import rotation
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.physics.world import World


@dataclasses.dataclass(frozen=True)
class RandomizationConfig:
    """Ranges are (low, high), drawn uniformly at each reset unless said otherwise."""

    mass: tuple[float, float] = (0.03, 0.25)  # kg
    object_friction: tuple[float, float] = (0.5, 1.2)
    hand_friction: tuple[float, float] = (0.5, 1.2)
    size: tuple[float, float] = (0.95, 1.05)  # factor
    kp: tuple[float, float] = (0.8, 1.1)  # factor
    kd: tuple[float, float] = (0.7, 1.2)  # factor
    start_joints: float = 0.05  # rad, half range of the joints' offset at reset
    push_acceleration: float = 1.0  # m/s2, standard deviation of a push per kilogram of object, as HORA has it
    push_probability: float = 0.2  # per control step
    push_decay: float = 0.99  # of the push left after a control step
    joint_noise: float = 0.025  # rad, white noise of every joint reading
    joint_offset: float = 0.005  # rad, standard deviation of a reading's offset, constant in an episode
    action_noise: float = 0.05  # in units of the action
    gravity_angle: float = 3.1416  # rad, gravity points up to this far from palm-up's; pi is any direction
    gravity_least_angle: float = 0.0  # rad, and at least this far: as much as `gravity_angle` is one angle
    gravity_walk: float = 0.05  # rad per square root of a control step: the wrist turns slowly
    wrist_speed: float = 0.0  # rad/s, the wrist turns besides at this speed, each about an axis of its own

    def __post_init__(self):
        """Raises ValueError naming the first field that no world can be drawn from."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            low, high = value if isinstance(value, tuple) else (value, value)
            least = 1e-6 if field.name in ("mass", "size", "kp") else 0.0  # a world divides by these
            most = 1.0 if field.name in ("push_probability", "push_decay") else np.finfo(float).max
            if not least <= low <= high <= most:  # NaN and infinity too
                raise ValueError(f"randomization.{field.name} must lie in order within {least} .. {most}, got {value}")
        if self.gravity_least_angle > self.gravity_angle:
            raise ValueError(
                f"randomization.gravity_least_angle is {self.gravity_least_angle}, more than gravity_angle, "
                f"{self.gravity_angle}"
            )


def sample_world(
    key: jax.Array, params: ObjectParams, config: RandomizationConfig, gravity_angle: jax.Array | None = None
) -> World:
    """Draws one environment's world for the given object; `gravity_angle` () [rad] replaces the configured one."""
    gravity_angle = config.gravity_angle if gravity_angle is None else gravity_angle
    names = ("mass", "object_friction", "hand_friction", "size", "kp", "kd")
    keys = jax.random.split(key, len(names) + 1)
    low, high = np.array([getattr(config, name) for name in names], np.float32).T
    # All numbers in one call: each draw of its own would be one more loop to compile.
    mass, object_friction, hand_friction, size, kp, kd = jax.vmap(_uniform)(keys[:-1], low, high)
    return World(
        gravity=worlds.STANDARD_GRAVITY * _direction(keys[-1], config.gravity_least_angle, gravity_angle),
        object=worlds.resize(params, size),
        mass=mass,
        object_friction=object_friction,
        hand_friction=hand_friction,
        kp_scale=kp,
        kd_scale=kd,
        push=jnp.zeros(3),
        turn=config.wrist_speed * _direction(jax.random.fold_in(key, len(names) + 1), 0.0, np.pi),
    )


def _uniform(key: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    return jax.random.uniform(key, minval=low, maxval=high)


def _direction(key: jax.Array, least_angle: float, largest_angle: jax.Array | float) -> jax.Array:
    """Draws a unit vector (3,) uniformly from those between two angles [rad] from palm-up gravity."""
    key_height, key_turn = jax.random.split(key)
    height = jax.random.uniform(key_height, minval=jnp.cos(largest_angle), maxval=np.cos(least_angle))
    turn = jax.random.uniform(key_turn, maxval=2 * jnp.pi)
    side = jnp.sqrt(jnp.maximum(1 - height**2, 0.0))
    return jnp.stack([-height, side * jnp.cos(turn), side * jnp.sin(turn)])


def move_world(
    key: jax.Array, world: World, config: RandomizationConfig, gravity_angle: jax.Array | None = None
) -> World:
    """Advances one control step: gravity turns and takes a random step, pushes fade and new ones arrive.

    `gravity_angle` () [rad] replaces the configured size of the cap.
    """
    gravity_angle = config.gravity_angle if gravity_angle is None else gravity_angle
    key_gravity, key_push, key_arrives = jax.random.split(key, 3)
    turned = rotation.rotate(rotation.from_rotation_vector(world.turn / CONTROL_HZ), world.gravity)
    gravity = turned / worlds.STANDARD_GRAVITY + config.gravity_walk * jax.random.normal(key_gravity, (3,))
    gravity = _between(gravity / jnp.linalg.norm(gravity), config.gravity_least_angle, gravity_angle)
    new = config.push_acceleration * world.mass * jax.random.normal(key_push, (3,))
    arrives = jax.random.bernoulli(key_arrives, config.push_probability)
    push = jnp.where(arrives, new, config.push_decay * world.push)
    return world.replace(gravity=worlds.STANDARD_GRAVITY * gravity, push=push)


def _between(direction: jax.Array, least_angle: float, largest_angle: jax.Array | float) -> jax.Array:
    """Reflects a unit vector (3,) that left its band around palm-up at the rim it crossed; clipped, it would gather."""
    palm_up = jnp.asarray(worlds.PALM_UP) / worlds.STANDARD_GRAVITY
    along = direction @ palm_up
    side = direction - along * palm_up
    angle = jnp.arctan2(jnp.linalg.norm(side), along)
    outside = jnp.where(angle > largest_angle, 2 * largest_angle - angle, 2 * least_angle - angle)
    back = jnp.clip(outside, least_angle, jnp.maximum(least_angle, largest_angle))
    side = side / jnp.maximum(jnp.linalg.norm(side), 1e-6)
    left = (angle > largest_angle) | (angle < least_angle)
    return jnp.where(left, jnp.cos(back) * palm_up + jnp.sin(back) * side, direction)
