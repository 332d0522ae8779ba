"""A made-up hand of three equal fingers around a round palm: two joints a finger, other gains, other sizes.

It shares nothing with the Allegro hand but the conventions of `describe`, so what runs with it assumes no hand.
"""

import functools

import mujoco
import numpy as np

from dexgen_jax.hand.description import GraspPrior, Hand, describe

FINGERS = ("a", "b", "c")
KP, KD, TORQUE_LIMIT = 2.0, 0.05, 0.5
LENGTHS = (0.05, 0.045)  # m, of the links
RADIUS = 0.01  # m


def build_spec() -> mujoco.MjSpec:
    """The palm's +x axis points at the object; the fingers stand around it and close toward that axis."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    palm = spec.worldbody.add_body(name="palm")
    palm.add_geom(name="palm", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.03, 0, 0), pos=(-0.03, 0, 0))
    for i, finger in enumerate(FINGERS):
        turn = 2 * np.pi * i / len(FINGERS)  # about x
        body = palm
        for link, length in zip(("lower", "upper"), LENGTHS, strict=True):
            root = link == "lower"
            position = (0, 0.05 * np.cos(turn), 0.05 * np.sin(turn)) if root else (LENGTHS[0], 0, 0)
            quat = (np.cos(turn / 2), np.sin(turn / 2), 0, 0) if root else (1, 0, 0, 0)
            name = f"{finger}_{link}"
            body = body.add_body(name=name, pos=position, quat=quat)
            body.add_joint(
                name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 0, -1), range=(-0.4, 1.5), armature=5e-4
            )
            capsule = {"fromto": (0.004, 0, 0, length, 0, 0)}
            body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=(RADIUS, 0, 0), density=800, **capsule)
            _add_actuator_and_touch(spec, body, name, capsule)
        spec.add_exclude(bodyname1="palm", bodyname2=f"{finger}_lower")
        body.add_site(name=f"{finger}_tip", pos=(LENGTHS[1], 0, 0))
        body.add_site(name=f"{finger}_pip", pos=(0, 0, 0))
    return spec


def _add_actuator_and_touch(spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, capsule: dict) -> None:
    spec.add_actuator(
        name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        gainprm=[KP] + [0] * 9, biastype=mujoco.mjtBias.mjBIAS_AFFINE, biasprm=[0, -KP, -KD] + [0] * 7,
        forcelimited=True, forcerange=(-TORQUE_LIMIT, TORQUE_LIMIT),
    )  # fmt: skip
    site = f"{name}_touch"
    body.add_site(name=site, type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=(RADIUS + 0.001, 0, 0), **capsule)
    spec.add_sensor(name=site, type=mujoco.mjtSensor.mjSENS_TOUCH, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=site)


@functools.cache
def load() -> Hand:
    joints = 2 * len(FINGERS)
    prior = GraspPrior(
        joint_mean=np.tile([-0.1, 0.3], len(FINGERS)),
        joint_std=0.1,
        object_position=np.array([0.05, 0.0, 0.0]),
        object_spread=np.array([0.005, 0.005, 0.005]),
        closing=np.ones(joints),
    )
    return describe("three_finger", build_spec, FINGERS, RADIUS, prior)
