"""From a person's fingertips to the hand's: a scale for each finger and an offset, from two poses held for a while.

    tip of the hand = scale x tip of the person + offset        both in their palm frames [m]

The poses are the open hand and the fist; where the hand's own tips are in these follows from its description. What
cannot be a calibration is refused by the finger's name: no scale may hide a wrong unit or a wrong axis.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dexgen_jax.controller.numbers import floats
from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand

POSES = {
    "open": "fingers straight, the thumb stretched out in front of the palm, as if about to hold a bottle",
    "fist": "fingers and thumb curled as far as they go",
}
FEWEST = 20  # readings of a pose
SHAKIEST = 0.015  # m, within which nine tenths of a tip's readings of a pose must be
SHORTEST = 0.03  # m, that a tip must move between the poses
SCALES = (0.4, 2.5)  # of a hand against a person's: outside is another unit or axis


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """`scale` (fingers,), unitless, and `offset` (fingers, 3) [m, the hand's palm frame]."""

    scale: np.ndarray
    offset: np.ndarray

    def apply(self, tips: np.ndarray) -> np.ndarray:
        """Returns where the hand's tips belong (fingers, 3) [m] for those of a person, in the same order."""
        return self.scale[:, None] * tips + self.offset

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"scale": self.scale.tolist(), "offset": self.offset.tolist()}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any], fingers: int) -> "Calibration":
        """What `to_dict` gave. Raises ValueError for what is not one of a hand with so many fingers."""
        if set(said) != {"scale", "offset"}:
            raise ValueError(
                f"a calibration has scale and offset, got {', '.join(sorted(map(str, said))) or 'nothing'}"
            )
        made = cls(floats(said["scale"], (fingers,), "scale"), floats(said["offset"], (fingers, 3), "offset"))
        if not (np.isfinite(made.offset).all() and (made.scale > 0).all() and np.isfinite(made.scale).all()):
            raise ValueError("a calibration holds finite numbers and scales above zero")
        return made


def names(hand: Hand) -> tuple[str, ...]:
    """The hand's fingers, in the order of their tips."""
    return tuple(name.removesuffix("_tip") for name in hand.keypoint_names[: hand.num_tips])


def of_hand(hand: Hand) -> np.ndarray:
    """Where the tips of the hand are in each of `POSES` (2, fingers, 3) [m, palm frame].

    Joints that close are straight or as far as the cupped hand of the grasp prior and one radian more; the others,
    which spread the fingers and oppose the thumb, stay as in the cupped hand.
    """
    prior, closes = hand.prior, hand.prior.closing != 0
    joints = (np.where(closes, 0.0, prior.joint_mean), prior.joint_mean + prior.closing)
    reachable = (np.clip(q, hand.lower, hand.upper).astype(np.float32) for q in joints)
    keypoints = jax.jit(functools.partial(kinematics.keypoints, hand))
    return np.stack([np.asarray(keypoints(q))[: hand.num_tips] for q in reachable])


def place(readings: np.ndarray, fingers: Sequence[str], pose: str) -> np.ndarray:
    """The median place of each tip (fingers, 3) [m] in `readings` (n, fingers, 3) of one pose, without those of NaN.

    Raises ValueError for too few, and for a pose that was not held.
    """
    readings = np.asarray(readings, float).reshape(-1, len(fingers), 3)
    readings = readings[np.isfinite(readings).all((1, 2))]
    if len(readings) < FEWEST:
        raise ValueError(f"{len(readings)} sound readings of the pose {pose!r} came, and {FEWEST} is the least")
    middle = np.median(readings, axis=0)
    away = np.quantile(np.linalg.norm(readings - middle, axis=-1), 0.9, axis=0)
    for finger, distance in zip(fingers, away, strict=True):
        if distance > SHAKIEST:
            raise ValueError(
                f"{finger} was not held still in the pose {pose!r}: its tip strayed by {1e3 * distance:.0f} mm, and "
                f"{1e3 * SHAKIEST:.0f} mm is the most"
            )
    return middle


def fit(person: np.ndarray, hand: np.ndarray, fingers: Sequence[str], common: bool = False) -> Calibration:
    """Least squares from a `person`'s tips in each pose (poses, fingers, 3) [m] to the `hand`'s.

    The scale is that of each finger, or a `common` one, which keeps directions between fingers. With d and D the ways
    from the mean over the poses, scale = sum(d . D) / sum(d . d). Raises ValueError naming the finger that did not
    move, or whose scale is none of a hand.
    """
    person, hand = (np.asarray(tips, float) for tips in (person, hand))
    if person.shape != hand.shape or person.shape[1:] != (len(fingers), 3):
        raise ValueError(f"tips of {len(fingers)} fingers belong together, got {person.shape} and {hand.shape}")
    way = person - person.mean(axis=0)
    for finger, moved in zip(fingers, np.ptp(person, axis=0), strict=True):
        if not np.linalg.norm(moved) >= SHORTEST:
            raise ValueError(
                f"{finger} moved by {1e3 * np.linalg.norm(moved):.0f} mm between the poses, and "
                f"{1e3 * SHORTEST:.0f} mm is the least: is it seen, and are the positions in metres?"
            )
    along = np.sum(way * (hand - hand.mean(axis=0)), axis=(0, 2))
    length = np.sum(way**2, axis=(0, 2))
    scale = np.full(len(fingers), along.sum() / length.sum()) if common else along / length
    for finger, factor in zip(fingers, scale, strict=True):
        if not SCALES[0] <= factor <= SCALES[1]:
            raise ValueError(
                f"the scale of {finger} would be {factor:.2g}, and hands are within {SCALES[0]:g} to {SCALES[1]:g}: "
                "are positions in metres, and in the axes of the palm frame (x out of the palm, z along the fingers)?"
            )
    return Calibration(scale, hand.mean(axis=0) - scale[:, None] * person.mean(axis=0))
