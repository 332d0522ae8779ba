"""Left from right: a hand, and all that is known of it, reflected in the plane y = 0 of its palm.

Reflection takes a point (x, y, z) to (x, -y, z) and what turns, an axis or a rotation vector, to (-x, y, -z). Joints
keep their angles, so joint targets, actions and touches of a right hand are those of its left one as they stand; only
what lies or turns in space is reflected. Objects are reflected in their own frames too (`shapes.as_held`): then the
left hand's world is the image of the right one's in every number.
"""

import jax
import mujoco
import numpy as np

from dexgen_jax.hand.description import GraspPrior, Hand, describe

SUFFIX = "_left"  # of the name of a hand that is another one's image
POINT = np.array([1, -1, 1], np.float32)  # factors of a point, a direction, a velocity, a force
TURN = np.array([-1, 1, -1], np.float32)  # of an axis, a rotation vector, an angular velocity
QUAT = np.array([1, -1, 1, -1], np.float32)  # of a rotation w x y z
_INERTIA = np.array([1, 1, 1, -1, 1, -1], np.float32)  # of moments and products of inertia xx, yy, zz, xy, xz, yz
POSE = np.concatenate([POINT, QUAT])  # of a position and a rotation


def reflect(values: jax.Array, factors: np.ndarray) -> jax.Array:
    """The image of `values` (..., d), NumPy's or JAX's; `factors` (d,) say of what kind: POINT, TURN, QUAT or POSE."""
    return values * np.broadcast_to(factors, np.shape(values)).astype(values.dtype)


def right_of(name: str) -> str:
    """The name of the hand whose image the hand `name` is; of one that is no image, its own."""
    return name.removesuffix(SUFFIX)


def left(hand: Hand) -> Hand:
    """The image of a hand: its joints by the same names, limits and gains."""
    prior = hand.prior
    image = GraspPrior(
        prior.joint_mean, prior.joint_std, reflect(prior.object_position, POINT), prior.object_spread, prior.closing
    )
    fingers = tuple(name.removesuffix("_tip") for name in hand.keypoint_names[: hand.num_tips])
    return describe(hand.name + SUFFIX, lambda: reflected_spec(hand.spec()), fingers, hand.tip_radius, image)


def reflected_spec(spec: mujoco.MjSpec) -> mujoco.MjSpec:
    """Reflects all places in a spec, and returns it. Raises ValueError for a turn that is not given as a quaternion."""
    for body in spec.bodies[1:]:
        _reflect_place(body)
        _require_quat(body.ialt, f"the inertia of body {body.name!r}")
        body.ipos, body.iquat = reflect(body.ipos, POINT), reflect(body.iquat, QUAT)
        body.fullinertia = reflect(body.fullinertia, _INERTIA)
    for frame in spec.frames:
        _reflect_place(frame)
    for thing in (*spec.geoms, *spec.sites):
        _reflect_place(thing)
        thing.fromto = reflect(thing.fromto, np.tile(POINT, 2))
    for joint in spec.joints:
        joint.pos, joint.axis = reflect(joint.pos, POINT), reflect(joint.axis, TURN)
    return spec


def _reflect_place(thing: mujoco.MjsBody | mujoco.MjsFrame | mujoco.MjsGeom | mujoco.MjsSite) -> None:
    _require_quat(thing.alt, f"{type(thing).__name__.removeprefix('Mjs').lower()} {thing.name!r}")
    thing.pos, thing.quat = reflect(thing.pos, POINT), reflect(thing.quat, QUAT)


def _require_quat(turn: mujoco.MjsOrientation, what: str) -> None:
    if turn.type != mujoco.mjtOrientation.mjORIENTATION_QUAT:
        raise ValueError(f"{what} is turned by something else than a quaternion: give one, to reflect it")
