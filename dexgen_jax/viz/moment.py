"""One control step of a hand with its object, as the viewer shows it."""

import dataclasses

import numpy as np

from dexgen_jax.objects.shapes import ObjectParams


@dataclasses.dataclass(frozen=True)
class Moment:
    """What there is to see and to know at one control step, on the host."""

    thing: str  # name of the object
    scale: float  # of this object against the catalogue's
    q: np.ndarray  # (n,) rad, the true joints
    reading: np.ndarray  # (n,) rad, the joints as the hand's sensors tell
    target: np.ndarray  # (n,) rad, in force
    object_pose: np.ndarray  # (7,) m and w x y z, palm frame
    goal_pose: np.ndarray | None  # (7,), where there is a goal
    gravity: np.ndarray  # (3,) m/s2, palm frame
    touch: np.ndarray  # (sensors,) N
    wanted: np.ndarray  # (n,) the expert's action, in units of the largest change of a joint target
    dropped: bool  # the object is out of the hand
    reached: bool  # a goal was reached in this step
    first: bool = False  # of its grasp: no motion leads here from the moment before
    shape: ObjectParams | None = None  # of the object, where its name is none of the catalogue's
