"""What the viewer shows instead of living: grasps one after the other, and trajectories of a dataset."""

import numpy as np

from dexgen_jax.dataset.store import RESOLUTION, Dataset
from dexgen_jax.hand.description import Hand
from dexgen_jax.physics.world import PALM_UP
from dexgen_jax.viz.moment import Moment

STAY = 12  # control steps for which each grasp of a gallery is shown


def gallery(hand: Hand, thing: str, q: np.ndarray, object_pose: np.ndarray) -> list[Moment]:
    """Grasps (N, n) [rad] and (N, 7) of an object, each of them for a while, palm up."""
    shown = [_moment(hand, thing, joints, joints, pose, PALM_UP) for joints, pose in zip(q, object_pose, strict=True)]
    return [moment for moment in shown for _ in range(STAY)]


def trajectory(hand: Hand, dataset: Dataset, stream: int) -> list[Moment]:
    """One stream of a dataset. Raises ValueError for one that does not exist."""
    if not 0 <= stream < dataset.num_streams:
        raise ValueError(f"{dataset.folder} has streams 0 to {dataset.num_streams - 1}, asked for {stream}")
    columns = dataset.read(streams=slice(stream, stream + 1))
    rows = {name: values[0] for name, values in columns.items()}
    names = dataset.attributes["objects"]
    return [
        _moment(
            hand, names[rows["privileged/object_index"][i]], rows["q"][i] * RESOLUTION, rows["target"][i] * RESOLUTION,
            rows["privileged/object_pose"][i], rows["privileged/gravity"][i],
        )
        for i in range(dataset.num_rows)
    ]  # fmt: skip


def _moment(
    hand: Hand, thing: str, q: np.ndarray, target: np.ndarray, object_pose: np.ndarray, gravity: np.ndarray
) -> Moment:
    q, target, gravity = (np.asarray(value, np.float32) for value in (q, target, gravity))
    touch, still = np.zeros(len(hand.touch_names), np.float32), np.zeros_like(q)
    return Moment(thing, 1.0, q, q, target, np.asarray(object_pose), None, gravity, touch, still, False, False)
