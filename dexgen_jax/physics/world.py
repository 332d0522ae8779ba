"""World: everything physical that differs between environments, as arrays.

`model_fields` turns a world into the rows of MuJoCo's model that follow from it, so every engine writes the same
numbers into its simulator and domain randomisation never touches an engine.
"""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import shapes
from dexgen_jax.objects.shapes import ObjectParams

STANDARD_GRAVITY = 9.81  # m/s2
PALM_UP = (-STANDARD_GRAVITY, 0.0, 0.0)  # the palm's +x axis points up
OFF_MARGIN = -10.0  # m: a geom whose margin is this negative touches nothing, on every engine
# m: and it is put out of reach, because MuJoCo C would else compute its contacts before it throws them away
# (mixed_over_single of benchmarks/physics.py was 0.60 then).
_OFF_POSITION = (0.0, 0.0, 1000.0)
# Slots and sizes are half lengths; a torsional and a rolling share complete MuJoCo's friction triple.
_SPIN_FRICTION, _ROLL_FRICTION = 0.005, 0.0001


@struct.dataclass
class World:
    """The physical parameters of one environment; they may change at any control step."""

    gravity: jax.Array  # (3,) m/s2, palm frame: turning it is turning the wrist
    object: ObjectParams
    mass: jax.Array  # () kg
    object_friction: jax.Array  # () sliding friction; a contact has the mean of object and hand
    hand_friction: jax.Array  # ()
    kp_scale: jax.Array  # () factor on the hand's P gain
    kd_scale: jax.Array  # () factor on the hand's D gain
    push: jax.Array  # (3,) N, force on the object's centre of mass, palm frame
    turn: jax.Array  # (3,) rad/s, how gravity turns in the palm frame: the other way round than the wrist


def nominal(params: ObjectParams, gravity: Sequence[float] = PALM_UP) -> World:
    """A world without randomisation: palm up, 0.1 kg, friction 0.85 (the middle of the paper's range).

    Raises ValueError for a `gravity` (3,) [m/s2] that is not three finite numbers.
    """
    if np.shape(gravity) != (3,) or not (isinstance(gravity, jax.core.Tracer) or np.isfinite(gravity).all()):
        raise ValueError(f"gravity is three finite numbers [m/s2, palm frame], got {gravity}")
    one = jnp.ones(())
    return World(
        gravity=jnp.asarray(gravity, jnp.float32), object=jax.tree.map(jnp.asarray, params), mass=0.1 * one,
        object_friction=0.85 * one, hand_friction=0.85 * one, kp_scale=one, kd_scale=one, push=jnp.zeros(3),
        turn=jnp.zeros(3),
    )  # fmt: skip


def resize(params: ObjectParams, factor: jax.Array) -> ObjectParams:
    """Scales an object about its frame's origin; `factor` () unitless."""
    return params.replace(
        size=params.size * factor,
        position=params.position * factor,
        com=params.com * factor,
        inertia=params.inertia * factor**2,
    )


def model_fields(world: World, hand: Hand) -> dict[str, jax.Array]:
    """Returns the values of MuJoCo's model fields for one world; `Scene.rows` says where each of them goes."""
    thing = world.object
    chex.assert_shape(thing.size, (thing.num_slots, 3))
    inverse_mass = 1.0 / world.mass
    inertia = world.mass * thing.inertia
    inverse_turn = jnp.mean(1.0 / inertia)
    friction = 0.5 * (world.object_friction + world.hand_friction)
    triple = jnp.stack([friction, jnp.full_like(friction, _SPIN_FRICTION), jnp.full_like(friction, _ROLL_FRICTION)])
    half_box, radius = bounds(thing.kind, thing.size)
    kp = world.kp_scale * jnp.asarray(hand.kp, jnp.float32)
    kd = world.kd_scale * jnp.asarray(hand.kd, jnp.float32)
    return {
        "geom_type": thing.kind,
        "geom_size": thing.size,
        "geom_pos": jnp.where(thing.on[:, None], thing.position, jnp.asarray(_OFF_POSITION)[None]),
        "geom_quat": thing.quat,
        "geom_rbound": radius,
        "geom_aabb": jnp.concatenate([jnp.zeros_like(half_box), half_box], axis=-1),
        "geom_margin": jnp.where(thing.on, 0.0, OFF_MARGIN),
        "geom_friction": jnp.tile(triple, (thing.num_slots, 1)),
        "body_mass": world.mass,
        "body_subtreemass": world.mass,  # the simulator takes centres of mass from it
        "body_ipos": thing.com,
        "body_iquat": thing.inertia_quat,
        "body_inertia": inertia,
        "body_invweight0": jnp.stack([inverse_mass, inverse_turn]),
        "dof_invweight0": jnp.concatenate([jnp.full(3, inverse_mass), jnp.full(3, inverse_turn)]),
        "actuator_gainprm": kp,
        "actuator_biasprm": jnp.stack([-kp, -kd], axis=-1),
        "opt.gravity": world.gravity,
    }


def bounds(kind: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns each slot's half bounding box (S, 3) [m] and bounding radius (S,) [m] about its own centre."""
    a, b, c = size[:, 0], size[:, 1], size[:, 2]
    pick = {
        shapes.SPHERE: ((a, a, a), a),
        shapes.CAPSULE: ((a, a, a + b), a + b),
        shapes.CYLINDER: ((a, a, b), jnp.sqrt(a**2 + b**2)),
        shapes.ELLIPSOID: ((a, b, c), jnp.maximum(a, jnp.maximum(b, c))),
        shapes.BOX: ((a, b, c), jnp.sqrt(a**2 + b**2 + c**2)),
    }
    conditions = [kind == k for k in pick]
    radius = jnp.select(conditions, [r for _, r in pick.values()])
    half = [jnp.select(conditions, [box[i] for box, _ in pick.values()]) for i in range(3)]
    return jnp.stack(half, axis=-1), radius
