"""The right Allegro hand, built with MjSpec from the numbers of its public description.

Kinematic facts: MuJoCo Menagerie `wonik_allegro` (BSD-2-Clause), equal to the maker's URDF; no file of theirs is
used. Collision shapes are our own capsules and spheres of about the public boxes' volume, because every engine collides
those with every object primitive. Palm frame: +x out of the palm, +y toward the index finger, +z along the
straight fingers, origin at the root of the middle finger.
"""

import functools

import mujoco
import numpy as np

from dexgen_jax.hand import parts
from dexgen_jax.hand.description import GraspPrior, Hand, describe

FINGERS = ("ff", "mf", "rf", "th")  # index, middle, ring, thumb
KP, KD, TORQUE_LIMIT = 3.0, 0.1, 0.7  # N m / rad, N m s / rad, N m: HORA's Allegro, arXiv:2210.04887
TIP_RADIUS = 0.012

_ROOTS = {  # position [m] and quaternion of each finger's base in the palm
    "ff": ((0, 0.0435, -0.001542), (0.999048, -0.0436194, 0, 0)),
    "mf": ((0, 0, 0.0007), (1, 0, 0, 0)),
    "rf": ((0, -0.0435, -0.001542), (0.999048, 0.0436194, 0, 0)),
    "th": ((-0.0182, 0.019333, -0.045987), (0.477714, -0.521334, -0.521334, -0.477714)),
}
# One row per link: name, position in the parent [m], joint axis, joint range [rad], capsule (start, end, radius) [m].
_FINGER_LINKS = (
    ("base", None, (0, 0, 1), (-0.47, 0.47), ((0, 0, 0.006), (0, 0, 0.0104), 0.0116)),
    ("proximal", (0, 0, 0.0164), (0, 1, 0), (-0.196, 1.61), ((0, 0, 0.008), (0, 0, 0.046), 0.0116)),
    ("medial", (0, 0, 0.054), (0, 1, 0), (-0.174, 1.709), ((0, 0, 0.008), (0, 0, 0.030), 0.0116)),
    ("distal", (0, 0, 0.0384), (0, 1, 0), (-0.227, 1.618), ((0, 0, 0.004), (0, 0, 0.0267), TIP_RADIUS)),
)
_THUMB_LINKS = (
    ("base", None, (-1, 0, 0), (0.263, 1.396), ((-0.0179, 0.009, 0.0092), (-0.0179, 0.009, 0.0198), 0.0174)),
    ("proximal", (-0.027, 0.005, 0.0399), (0, 0, 1), (-0.105, 1.163), ((0, 0, 0.0065), (0, 0, 0.0112), 0.0116)),
    ("medial", (0, 0, 0.0177), (0, 1, 0), (-0.189, 1.644), ((0, 0, 0.008), (0, 0, 0.0434), 0.0116)),
    ("distal", (0, 0, 0.0514), (0, 1, 0), (-0.162, 1.719), ((0, 0, 0.006), (0, 0, 0.0423), TIP_RADIUS)),
)
_PALM_CAPSULES = (-0.0361, -0.012, 0.012, 0.0361)  # y [m]: four fingers' width of flat-ish palm


def build_spec() -> mujoco.MjSpec:
    """Returns the hand alone: no object, no floor, gravity left to the scene."""
    spec = mujoco.MjSpec()
    spec.modelname = "allegro_right"
    spec.compiler.degree = False  # MjSpec reads ranges in degrees otherwise, and the hand could not move
    palm = spec.worldbody.add_body(name="palm")
    for i, y in enumerate(_PALM_CAPSULES):
        ends = (-0.0093, y, -0.0746), (-0.0093, y, -0.0204)
        parts.add_capsule(palm, f"palm_{i}", ends, 0.0204)
    box = {"pos": (-0.0093, 0, -0.0475), "size": (0.022, 0.0575, 0.0485)}
    parts.add_touch(spec, palm, "palm", mujoco.mjtGeom.mjGEOM_BOX, **box)
    for finger in FINGERS:
        _add_finger(spec, palm, finger, _THUMB_LINKS if finger == "th" else _FINGER_LINKS)
    return spec


def _add_finger(spec: mujoco.MjSpec, palm: mujoco.MjsBody, finger: str, links: tuple) -> None:
    body, names = palm, []
    for link, position, axis, limits, (start, end, radius) in links:
        root_position, root_quat = _ROOTS[finger]
        place = {"pos": root_position, "quat": root_quat} if position is None else {"pos": position}
        name = f"{finger}_{link}"
        body = body.add_body(name=name, **place)
        body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, range=limits, armature=parts.ARMATURE)
        parts.add_capsule(body, name, (start, end), radius)
        parts.add_servo(spec, name, KP, KD, TORQUE_LIMIT)
        if link != "base":
            parts.add_capsule_touch(spec, body, name, (start, end), radius)
        if link == ("distal" if finger == "th" else "medial"):
            body.add_site(name=f"{finger}_pip", pos=(0, 0, 0))
        names.append(name)
    body.add_site(name=f"{finger}_tip", pos=links[-1][4][1])
    # A finger never folds far enough to hit itself except by the overlap of its own capsules; same at its root.
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 2 :]]
    for a, b in [*pairs, ("palm", names[0]), ("palm", names[1])]:
        spec.add_exclude(bodyname1=a, bodyname2=b)


@functools.cache
def load() -> Hand:
    """Returns the described hand; the same object at every call."""
    prior = GraspPrior(
        joint_mean=np.array([0, 0.7, 0.7, 0.6] * 3 + [1.2, 0.5, 0.4, 0.5]),
        joint_std=0.35,
        object_position=np.array([0.052, 0.0, 0.0]),
        object_spread=np.array([0.012, 0.012, 0.02]),
        closing=np.array([0, 1, 1, 1] * 3 + [0, 1, 1, 1.0]),
    )
    return describe("allegro", build_spec, FINGERS, TIP_RADIUS, prior)
