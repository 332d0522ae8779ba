"""A hand from the MJCF file that its maker publishes: joints, position servos and fingertips as they are.

Every engine collides capsules with every object, so the shapes of the file, boxes and the convex hulls of meshes,
become capsules of about their cross-section (`capsules.py`). What stands above the palm, a wrist or an arm, is left
out. What cannot be taken is refused by its name (`mjcf_source.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import mujoco
import numpy as np

from dexgen_jax.hand import capsules, parts
from dexgen_jax.hand.description import GraspPrior, Hand, describe
from dexgen_jax.hand.mjcf_source import Source, body_named

_AXES = {sign + axis: factor * np.eye(3)[i] for i, axis in enumerate("xyz") for sign, factor in (("+", 1), ("-", -1))}
_RELAXED = 0.4  # share of its way to the limit that a joint of a cupped hand has closed


def from_mjcf(
    path: str | Path, palm: str, fingers: Mapping[str, str], *, name: str = "", out: str = "+x", along: str = "+z",
    origin: Sequence[float] = (0, 0, 0), pips: Mapping[str, str] | None = None, tip_radius: float = 0.0,
    kp: float = 0.0, kd: float = 0.0, torque_limit: float = 0.0, prior: GraspPrior | None = None,
) -> Hand:  # fmt: skip
    """Describes the hand of a file.

    `palm` names the body that is held still, `fingers` for each finger the site or body at its tip, and `pips`, where
    it is not the body of its last joint but one, that of its middle joint. `out` and `along` say which axes of the palm
    point out of it and along the straight fingers, and `origin` (3,) [m] is where its frame here begins in it. Gains
    [N m/rad, N m s/rad] and torque limit [N m] replace those of the file. Without a `prior`, the search for grasps
    begins where the joints that move a fingertip out of the palm are partly closed. Raises ValueError naming the
    argument that cannot be meant, the joint that cannot be taken, or what is missing.
    """
    name, pips = name or Path(path).stem, pips or {}
    numbers = {"tip_radius": tip_radius, "kp": kp, "kd": kd, "torque_limit": torque_limit}
    _check_arguments(name, fingers, pips, origin, numbers)
    model = _read(path)
    source = Source(name, model, body_named(model, palm, f"hand {name!r}: no body"))
    source.refuse_couplings()
    servos = [source.servo(joint, kp, kd, torque_limit) for joint in source.joints]
    frame = _frame(out, along), np.asarray(origin, float)
    shapes = {body: source.shapes(body) for body in source.bodies}
    tips = {finger: source.tip(at, shapes) for finger, at in fingers.items()}
    middles = {finger: source.middle(body, pips.get(finger)) for finger, (body, _, _) in tips.items()}
    overlapping: list[tuple[str, str]] = []

    def build() -> mujoco.MjSpec:
        spec = _skeleton(source, frame, shapes, servos)
        for finger, (body, place, _) in tips.items():
            spec.body(source.label(body)).add_site(name=f"{finger}_tip", pos=place)
            spec.body(source.label(middles[finger])).add_site(name=f"{finger}_pip", pos=(0, 0, 0))
        for first, second in overlapping:
            spec.add_exclude(bodyname1=first, bodyname2=second)
        return spec

    overlapping += _overlapping(build().compile(), source)
    radius = tip_radius or float(np.mean([radius for _, _, radius in tips.values()]))
    return describe(name, build, tuple(fingers), radius, prior or _prior(name, build().compile(), tuple(fingers)))


def _read(path: str | Path) -> mujoco.MjModel:
    try:
        return mujoco.MjSpec.from_file(str(path)).compile()
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"hand file {path} cannot be read ({error}): name an MJCF file with its meshes") from error


def _check_arguments(
    name: str,
    fingers: Mapping[str, str],
    pips: Mapping[str, str],
    origin: Sequence[float],
    numbers: Mapping[str, float],
) -> None:
    """Refuses what can be told from the arguments alone; a number that is 0 stands for the file's own."""
    if not fingers:
        raise ValueError(f"hand {name!r}: fingers is empty: give at least one finger, with the site or body at its tip")
    for finger in pips.keys() - fingers.keys():
        raise ValueError(f"hand {name!r}: pips names {finger!r}, which is none of the fingers {', '.join(fingers)}")
    place = np.asarray(origin, float)
    if place.shape != (3,) or not np.all(np.isfinite(place)):
        raise ValueError(f"hand {name!r}: origin is {origin}: give three finite numbers, x y z in the palm [m]")
    for what, value in numbers.items():
        if not 0 <= value < np.inf:  # NaN too
            raise ValueError(
                f"hand {name!r}: {what} is {value}: give a finite number above 0, or leave it out to take the file's"
            )


def _frame(out: str, along: str) -> np.ndarray:
    """The quaternion that turns the file's palm into ours: `out` to +x, `along` to +z."""
    for axis in (out, along):
        if axis not in _AXES:
            raise ValueError(f"{axis!r} is no axis of the palm; say one of {', '.join(_AXES)}")
    x, z = _AXES[out], _AXES[along]
    if abs(x @ z) > 0:
        raise ValueError(f"out of the palm is {out!r} and along the fingers {along!r}: they must be at right angles")
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.stack([x, np.cross(z, x), z]).reshape(-1))
    return quat


def _skeleton(source: Source, frame: tuple, shapes: Mapping[int, list], servos: list) -> mujoco.MjSpec:
    """Bodies, joints, servos, capsules and skin; the palm at the origin."""
    model, spec, made = source.model, mujoco.MjSpec(), dict[int, mujoco.MjsBody]()
    spec.modelname, spec.compiler.degree = source.name, False
    for body in source.bodies:
        root = body == source.palm
        parent = spec.worldbody if root else made[int(model.body_parentid[body])]
        made[body] = new = parent.add_body(name=source.label(body), **({} if root else _place(source, frame, body)))
        _give_mass(source, frame, body, new)
        for i, capsule in enumerate(shapes[body]):
            here = capsule.seen_from(*frame) if root else capsule
            parts.add_capsule(new, f"{source.label(body)}_{i}", here.ends, here.radius)
        if shapes[body]:
            box = capsules.box([c.seen_from(*frame) if root else c for c in shapes[body]], parts.SKIN)
            parts.add_touch(spec, new, source.label(body), mujoco.mjtGeom.mjGEOM_BOX, **box)
        if body in source.joint_of:
            joint = source.joint_of[body]
            new.add_joint(
                name=source.joint_name(joint),
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=model.jnt_axis[joint],
                range=model.jnt_range[joint],
                armature=max(model.dof_armature[model.jnt_dofadr[joint]], parts.ARMATURE),
            )
    for joint, servo in zip(source.joints, servos, strict=True):
        parts.add_servo(spec, source.joint_name(joint), *servo)
    return spec


def _place(source: Source, frame: tuple, body: int) -> dict[str, np.ndarray]:
    """Position [m] and quaternion of a body in its parent, frames being where they are here."""
    model, parent = source.model, int(source.model.body_parentid[body])
    position, quat = np.zeros(3), model.body_quat[body].copy()
    mujoco.mju_rotVecQuat(position, source.shift(body), quat)
    position += model.body_pos[body] - source.shift(parent)
    if body in source.joint_of:  # a joint may have another value than 0 where the file's bodies stand: its `ref`
        joint = source.joint_of[body]
        there, back = quat.copy(), np.zeros(4)
        mujoco.mju_axisAngle2Quat(back, model.jnt_axis[joint], -model.qpos0[model.jnt_qposadr[joint]])
        mujoco.mju_mulQuat(quat, there, back)
    if parent == source.palm:
        turn, origin = frame
        there, facing = position - origin, quat.copy()
        mujoco.mju_rotVecQuat(position, there, turn)
        mujoco.mju_mulQuat(quat, turn, facing)
    return {"pos": position, "quat": quat}


def _give_mass(source: Source, frame: tuple, body: int, new: mujoco.MjsBody) -> None:
    """The file's own mass and inertia; a body without any, as one that carries a site alone, keeps none."""
    model = source.model
    if body == source.palm or not model.body_mass[body] > 0:
        return
    new.explicitinertial, new.mass, new.inertia = True, model.body_mass[body], model.body_inertia[body]
    new.ipos, new.iquat = model.body_ipos[body] - source.shift(body), model.body_iquat[body]


def _overlapping(model: mujoco.MjModel, source: Source) -> list[tuple[str, str]]:
    """Pairs of bodies that shall not collide: as the file says, of one finger, or meeting in a hand at rest."""
    data, there = mujoco.MjData(model), source.model
    data.qpos[:] = np.clip(0.0, *model.jnt_range.T)
    mujoco.mj_forward(model, data)
    pairs = {tuple(sorted(model.geom_bodyid[[c.geom1, c.geom2]])) for c in data.contact}
    names = {(model.body(int(a)).name, model.body(int(b)).name) for a, b in pairs}
    for signature in there.exclude_signature:
        first, second = int(signature) >> 16, int(signature) & 0xFFFF
        if first in source.bodies and second in source.bodies:
            names.add((source.label(first), source.label(second)))
    for body in source.bodies[1:]:
        above = int(there.body_parentid[body])
        while above != source.palm:
            names.add((source.label(above), source.label(body)))
            above = int(there.body_parentid[above])
    return sorted({tuple(sorted(pair)) for pair in names})


def _prior(name: str, model: mujoco.MjModel, fingers: tuple[str, ...]) -> GraspPrior:
    """Joints that move a fingertip out of the palm are partly closed; the object is between palm, tips and middles."""
    data, closing = mujoco.MjData(model), np.zeros(model.njnt)
    lower, upper = model.jnt_range.T
    data.qpos[:] = np.clip(0.0, lower, upper)
    mujoco.mj_forward(model, data)
    for finger in fingers:
        tip, jacobian = data.site(f"{finger}_tip").xpos, np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, jacobian, None, model.site(f"{finger}_tip").id)
        arm = np.linalg.norm(tip[None] - data.xanchor, axis=1)
        closing += np.where(np.abs(jacobian[0]) > 0.5 * arm, np.sign(jacobian[0]), 0.0) * np.any(jacobian, axis=0)
    closing = np.sign(closing)
    if not np.any(closing):
        raise ValueError(
            f"hand {name!r}: no joint moves a fingertip out of the palm: say which axis is `out`, or give a prior"
        )
    end = np.where(closing > 0, upper, np.where(closing < 0, lower, data.qpos))
    mean = data.qpos + _RELAXED * (end - data.qpos)
    data.qpos[:] = mean
    mujoco.mj_forward(model, data)
    points = np.stack([data.site(f"{finger}_{part}").xpos for finger in fingers for part in ("tip", "pip")])
    return GraspPrior(
        joint_mean=mean,
        joint_std=0.35,
        object_position=np.array([points[:, 0].mean(), *points[:, 1:].mean(0)]),
        object_spread=np.array([0.012, 0.012, 0.02]),
        closing=closing,
    )
