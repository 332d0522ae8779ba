"""What a hand is to the rest of the project: a MuJoCo spec, names, gains and a kinematic chain.

Everything numeric is read off the compiled model by name, so another hand is another `describe(...)` call and no
other line of the project changes.
"""

import dataclasses
from collections.abc import Callable

import mujoco
import numpy as np

_PALM = 1  # number of its body in a compiled model, the world's being 0


@dataclasses.dataclass(frozen=True)
class Chain:
    """The kinematic tree as arrays, bodies ordered so that parents come first; body 0 is the palm frame.

    `levels` lists the bodies of equal depth: forward kinematics needs one vectorised step per level.
    """

    parent: np.ndarray  # (bodies,) int
    position: np.ndarray  # (bodies, 3) m, in the parent's frame
    quat: np.ndarray  # (bodies, 4) w x y z, in the parent's frame
    axis: np.ndarray  # (bodies, 3) hinge axis in the body's frame; zero where the body has no joint
    joint: np.ndarray  # (bodies,) int, which joint turns the body; 0 where there is none
    levels: tuple[np.ndarray, ...]  # body indices by depth, the palm left out
    keypoint_body: np.ndarray  # (keypoints,) int
    keypoint_position: np.ndarray  # (keypoints, 3) m, in that body's frame
    # What the hand collides with: capsules, a sphere being one without length.
    capsule_body: np.ndarray  # (capsules,) int
    capsule_ends: np.ndarray  # (capsules, 2, 3) m, both ends of the axis, in that body's frame
    capsule_radius: np.ndarray  # (capsules,) m


@dataclasses.dataclass(frozen=True)
class GraspPrior:
    """Where a cupped hand and an object in it are likely to be: the start of grasp search, not a constraint."""

    joint_mean: np.ndarray  # (joints,) rad
    joint_std: float  # rad
    object_position: np.ndarray  # (3,) m, palm frame
    object_spread: np.ndarray  # (3,) m, standard deviation of the object's centre along each axis
    closing: np.ndarray  # (joints,) unitless, how fast each joint moves when the hand closes


@dataclasses.dataclass(frozen=True, eq=False)
class Hand:
    """A dexterous hand with a fixed base; equal only to itself, so it can be a static argument of `jit`."""

    name: str
    spec: Callable[[], mujoco.MjSpec]  # a fresh spec at each call: MjSpec objects are mutable
    joint_names: tuple[str, ...]
    lower: np.ndarray  # (joints,) rad
    upper: np.ndarray  # (joints,) rad
    keypoint_names: tuple[str, ...]  # the tips first, then the PIPs in the same order
    num_tips: int
    tip_radius: float  # m
    touch_names: tuple[str, ...]
    kp: np.ndarray  # (joints,) N m / rad
    kd: np.ndarray  # (joints,) N m s / rad
    torque_limit: np.ndarray  # (joints,) N m
    chain: Chain
    prior: GraspPrior

    @property
    def num_joints(self) -> int:
        return len(self.joint_names)

    @property
    def num_keypoints(self) -> int:
        return len(self.keypoint_names)


def describe(
    name: str, spec: Callable[[], mujoco.MjSpec], fingers: tuple[str, ...], tip_radius: float, prior: GraspPrior
) -> Hand:
    """Compiles the hand once and reads off what the project needs to know of it.

    The spec must hold limited hinges at their bodies' origins, with ref 0, one position actuator per hinge, in joint
    order and with its joint's name, sites `<finger>_tip` and `<finger>_pip` for each finger, touch sensors, and no
    other collision shapes than capsules and spheres. The palm has no joint, and nothing that collides stands outside of
    it on the world's body. Raises ValueError naming what is missing or different.
    """
    model = spec().compile()
    joints = tuple(model.joint(i).name for i in range(model.njnt))
    for i, joint in enumerate(joints):
        hinge = model.jnt_type[i] == mujoco.mjtJoint.mjJNT_HINGE and model.jnt_limited[i]
        if not hinge or np.any(model.jnt_pos[i]) or model.qpos0[model.jnt_qposadr[i]]:
            raise ValueError(
                f"hand {name!r}: joint {joint!r} must be a hinge with limits at its body's origin, and with ref 0"
            )
        if model.jnt_bodyid[i] == _PALM:
            raise ValueError(
                f"hand {name!r}: joint {joint!r} moves the palm, but the palm is held still: put the wrist into gravity"
            )
    actuators = tuple(model.actuator(i).name for i in range(model.nu))
    if actuators != joints:
        raise ValueError(f"hand {name!r}: actuators {actuators} must carry the joints' names in order: {joints}")
    for i, joint in enumerate(joints):
        gain, bias = model.actuator_gainprm[i, 0], model.actuator_biasprm[i]
        drives = model.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_JOINT and model.actuator_trnid[i, 0] == i
        servo = gain > 0 and bias[1] == -gain and bias[0] == 0 and model.actuator_gear[i, 0] == 1
        weakest, strongest = model.actuator_forcerange[i]
        if not (drives and servo and model.actuator_forcelimited[i] and weakest == -strongest):
            raise ValueError(
                f"hand {name!r}: actuator {joint!r} must drive the joint of its name as a position servo (gear 1, bias "
                "-gain) with a force range that is the same both ways"
            )
    keypoints = tuple(f"{f}_tip" for f in fingers) + tuple(f"{f}_pip" for f in fingers)
    sites = [model.site(i).name for i in range(model.nsite)]
    missing = [k for k in keypoints if k not in sites]
    if missing:
        raise ValueError(f"hand {name!r}: no site named {missing}; it has {sites}")
    chain = _chain(model, keypoints)
    _check_prior(name, prior, len(joints))
    return Hand(
        name=name, spec=spec, joint_names=joints,
        lower=model.jnt_range[:, 0].copy(), upper=model.jnt_range[:, 1].copy(),
        keypoint_names=keypoints, num_tips=len(fingers), tip_radius=tip_radius,
        touch_names=tuple(model.sensor(i).name for i in range(model.nsensor)),
        kp=model.actuator_gainprm[:, 0].copy(), kd=-model.actuator_biasprm[:, 2],
        torque_limit=model.actuator_forcerange[:, 1].copy(), chain=chain, prior=prior,
    )  # fmt: skip


def _check_prior(name: str, prior: GraspPrior, joints: int) -> None:
    """Raises ValueError for a prior of another hand's shape, with NaN, or that closes nothing."""
    allowed: list[tuple[int, ...]] = [(joints,)]
    for field, shapes in (("joint_mean", allowed), ("joint_std", [(), *allowed]), ("closing", allowed)):
        value = np.asarray(getattr(prior, field), float)
        if value.shape not in shapes or not np.all(np.isfinite(value)):
            raise ValueError(
                f"hand {name!r}: prior.{field} is {value.tolist()} of shape {value.shape}: it must be finite and of "
                f"shape {' or '.join(map(str, shapes))}, one number for each joint"
            )
    if not np.any(prior.closing):
        raise ValueError(
            f"hand {name!r}: prior.closing is 0 for all {joints} joints: say which of them close the hand, and how fast"
        )


def _chain(model: mujoco.MjModel, keypoints: tuple[str, ...]) -> Chain:
    """Reads the tree off a compiled model; MuJoCo's world body is left out and the palm must stand at its origin."""
    if np.any(model.body_pos[_PALM]) or not np.allclose(model.body_quat[_PALM], [1, 0, 0, 0]):
        raise ValueError("the palm must stand at the origin of the world: poses are reported in the palm frame")
    parent = np.maximum(model.body_parentid[1:] - 1, 0)
    axis, joint = np.zeros((model.nbody - 1, 3)), np.zeros(model.nbody - 1, int)
    for i in range(model.njnt):
        body = model.jnt_bodyid[i] - 1
        if np.any(axis[body]):
            raise ValueError(f"body {model.body(body + 1).name!r} has two joints: give each hinge a body of its own")
        axis[body], joint[body] = model.jnt_axis[i], i
    depth = np.zeros(model.nbody - 1, int)
    for body in range(1, model.nbody - 1):
        depth[body] = depth[parent[body]] + 1
    sites = [model.site(k) for k in keypoints]
    geoms, ends = _capsules(model)
    return Chain(
        parent=parent, position=model.body_pos[1:].copy(), quat=model.body_quat[1:].copy(), axis=axis, joint=joint,
        levels=tuple(np.flatnonzero(depth == d) for d in range(1, depth.max() + 1)),
        keypoint_body=np.array([s.bodyid[0] - 1 for s in sites]), keypoint_position=np.array([s.pos for s in sites]),
        capsule_body=model.geom_bodyid[geoms] - 1, capsule_ends=ends, capsule_radius=model.geom_size[geoms, 0].copy(),
    )  # fmt: skip


def _capsules(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Returns the geoms that collide (capsules,) and the ends of their axes (capsules, 2, 3) [m] in their bodies."""
    geoms = np.flatnonzero(model.geom_contype | model.geom_conaffinity)
    kinds = model.geom_type[geoms]
    for geom in geoms[(kinds != mujoco.mjtGeom.mjGEOM_CAPSULE) & (kinds != mujoco.mjtGeom.mjGEOM_SPHERE)]:
        raise ValueError(
            f"geom {model.geom(geom).name!r} is neither a capsule nor a sphere: not every engine collides it with "
            "every primitive an object is made of"
        )
    for geom in geoms[model.geom_bodyid[geoms] == 0]:
        raise ValueError(f"geom {model.geom(geom).name!r} is fixed to the world and collides: put it on the palm")
    ends = np.zeros((len(geoms), 2, 3))
    for row, geom in zip(ends, geoms, strict=True):
        axis = np.zeros(3)
        half = model.geom_size[geom, 1] * (model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE)
        mujoco.mju_rotVecQuat(axis, np.array([0, 0, half]), model.geom_quat[geom])
        row[:] = model.geom_pos[geom] - axis, model.geom_pos[geom] + axis
    return geoms, ends
