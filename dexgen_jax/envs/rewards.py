"""Reward terms of Anygrasp-to-Anygrasp by name, and their weights.

The goal terms pay the *decrease* of the distance to the goal (a potential), so waiting near a goal earns nothing. What
a sketch of this task showed: fear of dropping must be small beside the joy of a goal and rotation must weigh most, or
position and joints are learned and rotation never is.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp

from dexgen_jax.physics.state import PhysicsState


@dataclasses.dataclass(frozen=True)
class RewardWeights:
    """Reward per unit of each term; the style of an expert is its choice of the last five."""

    position: float = 0.5  # per 2 cm the object comes nearer
    rotation: float = 2.0  # per 0.4 rad the object turns toward the goal
    joints: float = 0.25  # per 0.3 rad (rms) the joints come nearer
    success: float = 10.0  # per goal held
    drop: float = -3.0  # per drop
    action: float = -0.005  # per mean squared action
    torque: float = -0.01  # per squared N m, summed over the joints
    work: float = -0.02  # per W of |torque . joint speed|
    tip_speed: float = 0.0  # per m/s, mean over the fingertips
    object_speed: float = 0.0  # per m/s of the object: a gentle hand does not throw


POSITION_UNIT, ANGLE_UNIT, JOINT_UNIT = 0.02, 0.4, 0.3  # m, rad, rad


def distance(sizes: tuple[jax.Array, ...]) -> jax.Array:
    """One number for (distance [m], angle [rad], joint rms [rad]): their sum in units of the weights."""
    return sum(size / unit for size, unit in zip(sizes, (POSITION_UNIT, ANGLE_UNIT, JOINT_UNIT), strict=True))


def progress(before: tuple[jax.Array, ...], after: tuple[jax.Array, ...]) -> dict[str, jax.Array]:
    """Decrease of (distance [m], angle [rad], joint rms [rad]) from `before` to `after`, in units of the weights."""
    units = dict(position=POSITION_UNIT, rotation=ANGLE_UNIT, joints=JOINT_UNIT)
    return {name: (was - now) / unit for (name, unit), was, now in zip(units.items(), before, after, strict=True)}


def effort(action: jax.Array, physics: PhysicsState, tip_travel: jax.Array, seconds: float) -> dict[str, jax.Array]:
    """Cost terms of one control step; `tip_travel` (tips, 3) [m] is how far each fingertip went in it."""
    n = action.shape[0]
    return {
        "action": jnp.mean(action**2),
        "torque": jnp.sum(physics.torque**2),
        "work": jnp.sum(jnp.abs(physics.torque * physics.qvel[:n])),
        "tip_speed": jnp.mean(jnp.linalg.norm(tip_travel, axis=-1)) / seconds,
        "object_speed": jnp.linalg.norm(physics.qvel[n : n + 3]),
    }


@dataclasses.dataclass(frozen=True)
class StyleRanges:
    """Factors on the weights of style and effort, drawn once an episode: the paper's (w_style, w_reg).

    A policy that is `shown` them learns all styles of the ranges at once; without, a style is a choice of weights.
    """

    tip_speed: tuple[float, float] = (1.0, 1.0)  # factor on tip_speed: a high one makes calm, a low one quick
    effort: tuple[float, float] = (1.0, 1.0)  # factor on action, torque and work: a high one makes gentle
    shown: bool = False  # the two factors end the actor's observation

    def __post_init__(self) -> None:
        """Refuses a reward that varies and that nobody can know."""
        if not self.shown and any(low != high for low, high in (self.tip_speed, self.effort)):
            raise ValueError(f"style ranges {self.tip_speed} and {self.effort} vary what is paid: set style.shown=True")


def draw_style(key: jax.Array, ranges: StyleRanges) -> jax.Array:
    """The two factors (2,) of one episode, tip_speed first."""
    low, high = jnp.asarray([ranges.tip_speed, ranges.effort]).T
    return jax.random.uniform(key, (2,), minval=low, maxval=high)


def weigh(terms: dict[str, jax.Array], weights: RewardWeights, style: jax.Array) -> dict[str, jax.Array]:
    """Multiplies each term by the weight of its name, those of style and effort also by `style` (2,)."""
    chex.assert_shape(style, (2,))
    factor = {"tip_speed": style[0], "action": style[1], "torque": style[1], "work": style[1]}
    return {name: getattr(weights, name) * factor.get(name, 1.0) * value for name, value in terms.items()}
