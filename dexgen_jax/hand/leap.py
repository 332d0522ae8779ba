"""The right LEAP Hand (arXiv:2309.06440), built with MjSpec from the numbers of its public description.

Kinematic facts: MuJoCo Menagerie `leap_hand` (MIT), from the maker's URDF; no file of theirs is used. Gains and torque
limit: the maker's LEAP_Hand_Isaac_Lab. Links are our own capsules, as wide as the public boxes on the side that
grasps; the motors on the backs of the fingers are left out. Palm frame as for every hand: +x out of the palm, +y toward
the index finger, +z along the straight fingers, origin where the middle finger's flexion axis crosses that finger.
Unlike the Allegro hand's, a finger flexes first and spreads second, so it can lean sideways when it is bent.
"""

import functools

import mujoco
import numpy as np

from dexgen_jax.hand import parts
from dexgen_jax.hand.description import GraspPrior, Hand, describe

FINGERS = ("if", "mf", "rf", "th")  # index, middle, ring, thumb
KP, KD, TORQUE_LIMIT = 3.0, 0.1, 0.5  # N m / rad, N m s / rad, N m
TIP_RADIUS = 0.011

# Where Menagerie's palm body lies in ours: there +x is along the fingers and -z out of the palm.
ORIGIN = (-0.0071, -0.0374, -0.0187)  # m, our origin in its frame
TURN = (0.5**0.5, 0.0, -(0.5**0.5), 0.0)  # its axes in our frame
_ROOTS = {  # position [m] and quaternion of each finger's first body in Menagerie's palm
    "if": ((-0.007, 0.023, -0.0187), (0.500003, 0.5, 0.5, -0.499997)),
    "mf": ((-0.0071, -0.0224, -0.0187), (0.500003, 0.5, 0.5, -0.499997)),
    "rf": ((-0.00709, -0.0678, -0.0187), (0.500003, 0.5, 0.5, -0.499997)),
    "th": ((-0.0693, -0.0012, -0.0216), (0.707109, 0, 0.707105, 0)),
}
_DISTAL = {"if": (0, -0.0361, 0.0002), "mf": (0, -0.0361, 0.0002), "rf": (0, -0.03609, 0.0002)}  # m, in the medial link
# One row per link: body, joint, place in the parent [m, quaternion], joint range [rad], mass [kg], capsule (start, end,
# radius) [m]. All joints turn about -z.
_FINGER_LINKS = (
    ("bs", "mcp", None, (-0.314, 2.23), 0.044, ((0, 0.004, 0.015), (0, 0.011, 0.015), 0.010)),
    (
        "px", "rot", ((-0.0122, 0.0381, 0.0145), (0.500003, -0.5, -0.499997, 0.5)), (-1.047, 1.047),
        0.032, ((0.002, 0, -0.011), (0.013, 0, -0.011), 0.0115),
    ),
    (
        "md", "pip", ((0.015, 0.0143, -0.013), (0.500003, 0.5, -0.5, 0.499997)), (-0.506, 1.885),
        0.037, ((0.001, -0.003, 0.015), (0.001, -0.0355, 0.015), 0.0105),
    ),
    ("ds", "dip", None, (-0.366, 2.042), 0.016, ((0, -0.004, 0.0148), (-0.0008, -0.039, 0.0145), TIP_RADIUS)),
)  # fmt: skip
_THUMB_LINKS = (
    ("mp", "cmc", None, (-0.349, 2.094), 0.032, ((-0.013, 0, -0.011), (-0.002, 0, -0.011), 0.0115)),
    (
        "bs", "axl", ((0, 0.0143, -0.013), (0.500003, 0.5, -0.5, 0.499997)), (-0.349, 2.094),
        0.003, ((0, -0.007, -0.008), (0, 0.007, -0.008), 0.008),
    ),
    (
        "px", "mcp", ((0, 0.0145, -0.017), (0.707109, -0.707105, 0, 0)), (-0.47, 2.443),
        0.038, ((0, 0.001, -0.0145), (0, 0.040, -0.0145), 0.0105),
    ),
    (
        "ds", "ipl", ((0, 0.0466, 0.0002), (1.32679e-06, 0, 0, 1)), (-1.34, 1.88),
        0.049, ((0, -0.001, -0.0147), (-0.0008, -0.051, -0.0145), TIP_RADIUS),
    ),
)  # fmt: skip
# Where a finger's middle joint crosses its middle: link, place on the joint's axis [m].
_PIP = {"th": ("ds", (0, 0, -0.0145))} | dict.fromkeys(("if", "mf", "rf"), ("md", (0, 0, 0.015)))
_PALM = (  # capsules (start, end, radius) [m] in our palm: a plate across it, its heel, three motors, the thumb's side
    ((-0.008, -0.031, -0.041), (-0.008, 0.039, -0.041), 0.023),
    ((-0.008, -0.027, -0.070), (-0.008, -0.0127, -0.070), 0.023),
    *(((-0.011, y, -0.002), (-0.006, y, -0.002), 0.0145) for y in (0.0454, 0.0, -0.0454)),
    ((-0.0065, 0.016, -0.088), (-0.0065, 0.040, -0.088), 0.010),
)
_LOOSE = {"th": ("mp", "bs")} | dict.fromkeys(("if", "mf", "rf"), ("bs", "px"))  # links that may overlap the palm


def build_spec() -> mujoco.MjSpec:
    """Returns the hand alone: no object, no floor, gravity left to the scene."""
    spec = mujoco.MjSpec()
    spec.modelname = "leap_right"
    spec.compiler.degree = False
    palm = spec.worldbody.add_body(name="palm")
    for i, (start, end, radius) in enumerate(_PALM):
        parts.add_capsule(palm, f"palm_{i}", (start, end), radius)
    box = {"pos": (-0.008, 0.002, -0.045), "size": (0.0245, 0.061, 0.060)}
    parts.add_touch(spec, palm, "palm", mujoco.mjtGeom.mjGEOM_BOX, **box)
    for finger in FINGERS:
        _add_finger(spec, palm, finger, _THUMB_LINKS if finger == "th" else _FINGER_LINKS)
    return spec


def _add_finger(spec: mujoco.MjSpec, palm: mujoco.MjsBody, finger: str, links: tuple) -> None:
    body, names = palm, []
    for i, (link, joint, place, limits, mass, (start, end, radius)) in enumerate(links):
        position, quat = (_root(finger) if i == 0 else (_DISTAL[finger], (1, 0, 0, 0))) if place is None else place
        name, joint = f"{finger}_{link}", f"{finger}_{joint}"
        body = body.add_body(name=name, pos=position, quat=quat)
        body.add_joint(
            name=joint, type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0, 0, -1), range=limits, armature=parts.ARMATURE
        )
        parts.add_capsule(body, name, (start, end), radius, mass)
        parts.add_servo(spec, joint, KP, KD, TORQUE_LIMIT)
        if i:
            parts.add_capsule_touch(spec, body, name, (start, end), radius)
        if link == _PIP[finger][0]:
            body.add_site(name=f"{finger}_pip", pos=_PIP[finger][1])
        names.append(name)
    body.add_site(name=f"{finger}_tip", pos=links[-1][-1][1])
    # As for the Allegro hand: a finger hits itself by the overlap of its own capsules alone; same at its root.
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 2 :]]
    for a, b in [*pairs, *(("palm", f"{finger}_{link}") for link in _LOOSE[finger])]:
        spec.add_exclude(bodyname1=a, bodyname2=b)


def _root(finger: str) -> tuple[np.ndarray, np.ndarray]:
    """Position [m] and quaternion of a finger's first body in our palm."""
    (there, facing), turn = _ROOTS[finger], np.array(TURN)
    position, quat = np.zeros(3), np.zeros(4)
    mujoco.mju_rotVecQuat(position, np.subtract(there, ORIGIN), turn)
    mujoco.mju_mulQuat(quat, turn, np.array(facing, float))
    return position, quat


@functools.cache
def load() -> Hand:
    """Returns the described hand; the same object at every call."""
    prior = GraspPrior(
        joint_mean=np.array([0.7, 0, 0.7, 0.5] * 3 + [1.2, 1.0, 0.3, 0.5]),
        joint_std=0.35,
        object_position=np.array([0.056, 0.005, -0.007]),
        object_spread=np.array([0.012, 0.012, 0.02]),
        closing=np.array([1, 0, 1, 1] * 3 + [0, 0, 1, 1.0]),
    )
    return describe("leap", build_spec, FINGERS, TIP_RADIUS, prior)
