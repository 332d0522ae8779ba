"""The pieces that every hand's spec is built of: capsules that collide, position servos, skin that feels."""

from collections.abc import Sequence

import mujoco

ARMATURE = 5e-4  # kg m2, reflected rotor inertia; also keeps the stiff PD loop well conditioned
DENSITY = 800.0  # kg / m3
SKIN = 0.001  # m, how far a touch site reaches over its link


def add_capsule(body: mujoco.MjsBody, name: str, ends: Sequence, radius: float, mass: float | None = None) -> None:
    """Adds a capsule with its axis between two points (3,) [m, in the body], or a sphere if they are the same.

    Its `mass` [kg] is that of `DENSITY` if none is given.
    """
    kind = {"type": mujoco.mjtGeom.mjGEOM_CAPSULE, "fromto": (*ends[0], *ends[1])}
    if tuple(ends[0]) == tuple(ends[1]):
        kind = {"type": mujoco.mjtGeom.mjGEOM_SPHERE, "pos": ends[0]}
    weight = {"density": DENSITY} if mass is None else {"mass": mass}
    body.add_geom(name=name, size=(radius, 0, 0), **weight, **kind)


def add_servo(spec: mujoco.MjSpec, joint: str, kp: float, kd: float, torque_limit: float) -> None:
    """A position servo: torque [N m] = kp (target - q) - kd qdot, cut at the torque limit."""
    spec.add_actuator(
        name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED, gainprm=[kp] + [0] * 9,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE, biasprm=[0, -kp, -kd] + [0] * 7,
        forcelimited=True, forcerange=(-torque_limit, torque_limit),
    )  # fmt: skip


def add_touch(spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, kind: int, **place) -> None:
    """Adds a site of this kind and place with the sensor of the force [N] on it."""
    site = f"{name}_touch"
    body.add_site(name=site, type=kind, **place)
    spec.add_sensor(name=site, type=mujoco.mjtSensor.mjSENS_TOUCH, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=site)


def add_capsule_touch(spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, ends: Sequence, radius: float) -> None:
    """Skin over one capsule."""
    site = {"fromto": (*ends[0], *ends[1]), "size": (radius + SKIN, 0, 0)}
    add_touch(spec, body, name, mujoco.mjtGeom.mjGEOM_CAPSULE, **site)
