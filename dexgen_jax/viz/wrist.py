"""How the wrist is held in the room: directions with a name, turning towards one, and the gravity that the palm feels.

In the simulation the palm stands still and gravity turns. A viewer shows the same the other way round: the hand turns
in a room where down is down. Host only.
"""

from collections.abc import Sequence

import mujoco
import numpy as np

from dexgen_jax.physics.world import STANDARD_GRAVITY

TURN_RATE = 1.0  # rad/s: a wrist that jumped would throw the object out
TUMBLE_RATE = 0.3  # rad/s, about an axis that wanders
TUMBLE = "tumble"


def _held(palm: Sequence[float], fingers: Sequence[float]) -> np.ndarray:
    """The quaternion (4,) w x y z that turns the palm frame so that its +x (out of the palm) and +z point there."""
    x, z = np.asarray(palm, float), np.asarray(fingers, float)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.stack([x, np.cross(z, x), z], axis=1).reshape(-1))
    return quat


# Room frame: z is up, and the fingers point along +x where they may.
POSES = {
    "palm up": _held((0, 0, 1), (1, 0, 0)),
    "palm sideways": _held((0, -1, 0), (1, 0, 0)),
    "palm down": _held((0, 0, -1), (1, 0, 0)),
    "fingers up": _held((1, 0, 0), (0, 0, 1)),
    "fingers down": _held((1, 0, 0), (0, 0, -1)),
}


def gravity(wrist: np.ndarray) -> np.ndarray:
    """Gravity (3,) [m/s2] in the palm frame of a hand that is turned by `wrist` (4,), palm to room."""
    return rotate(conjugate(wrist), np.array([0.0, 0.0, -STANDARD_GRAVITY]))


def toward(wrist: np.ndarray, wanted: np.ndarray, most: float) -> np.ndarray:
    """Turns `wrist` (4,) to `wanted` (4,), of any length, on the shortest way, by at most `most` [rad]."""
    way = np.zeros(3)
    mujoco.mju_subQuat(way, np.asarray(wanted, float), np.asarray(wrist, float))  # in the frame of `wrist`
    return turned(wrist, way * most / max(np.linalg.norm(way), most))


def tumbled(wrist: np.ndarray, seconds: float, angle: float) -> np.ndarray:
    """Turns `wrist` (4,) by `angle` [rad] about the axis of the tumble `seconds` after its beginning."""
    axis = np.array([np.sin(0.23 * seconds), np.cos(0.31 * seconds), 0.5 * np.sin(0.11 * seconds)])
    return turned(wrist, angle * axis / np.linalg.norm(axis))


def under(wrist: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Turns `wrist` (4,) on the shortest way so that gravity points along `pull` (3,) [any unit, palm frame]."""
    way = np.zeros(4)
    there, here = (vector / np.linalg.norm(vector) for vector in (np.asarray(pull, float), gravity(wrist)))
    axis = np.cross(there, here)
    if np.linalg.norm(axis) < 1e-9:  # as it is, or upside down: then any axis across will do
        axis = np.cross(here, np.eye(3)[np.argmin(np.abs(here))])
    angle = np.arctan2(np.linalg.norm(np.cross(there, here)), there @ here)
    mujoco.mju_axisAngle2Quat(way, axis / np.linalg.norm(axis), angle)
    after = np.zeros(4)
    mujoco.mju_mulQuat(after, np.asarray(wrist, float), way)
    return after


def turned(wrist: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Turns `wrist` (4,) by the rotation vector `way` (3,) [rad] in its own frame."""
    after = np.array(wrist, float)
    mujoco.mju_quatIntegrate(after, np.asarray(way, float), 1.0)
    return after / np.linalg.norm(after)


def rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turns `vector` (3,) by `quat` (4,)."""
    out = np.zeros(3)
    mujoco.mju_rotVecQuat(out, np.asarray(vector, float), np.asarray(quat, float))
    return out


def conjugate(quat: np.ndarray) -> np.ndarray:
    """The inverse rotation of a unit quaternion (4,)."""
    return np.asarray(quat, float) * [1, -1, -1, -1]
