"""What the viewer shows instead of living: grasps one after the other, trajectories of a dataset, evaluated rows."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from dexgen_jax.dataset.store import FIRST, RESOLUTION, Dataset
from dexgen_jax.hand.description import Hand
from dexgen_jax.physics.world import PALM_UP
from dexgen_jax.viz.film import Trace
from dexgen_jax.viz.moment import Moment

STAY = 12  # control steps for which each grasp of a gallery is shown

Shelf = Mapping[str, Callable[[int], list[Moment]]]  # what can be shown by name; the number says which of several


def gallery(hand: Hand, thing: str, q: np.ndarray, object_pose: np.ndarray) -> list[Moment]:
    """Grasps (N, n) [rad] and (N, 7) of an object, each of them for a while, palm up."""
    shown = [_moment(hand, thing, joints, joints, pose, PALM_UP) for joints, pose in zip(q, object_pose, strict=True)]
    return [moment for moment in shown for _ in range(STAY)]


def trajectory(hand: Hand, dataset: Dataset, stream: int) -> list[Moment]:
    """One stream of a dataset. Raises ValueError for one that does not exist, or that tells of no object."""
    if not 0 <= stream < dataset.num_streams:
        raise ValueError(f"{dataset.folder} has streams 0 to {dataset.num_streams - 1}, asked for {stream}")
    names = dataset.attributes.get("objects")
    if not names:
        raise ValueError(
            f"{dataset.folder} knows joints, but neither objects nor their poses, as a log from a laboratory does: "
            "it cannot be shown; what was recorded in the simulator or in the viewer can"
        )
    columns = dataset.read(streams=slice(stream, stream + 1))
    rows = {name: values[0] for name, values in columns.items()}
    return [
        _moment(
            hand, names[rows["privileged/object_index"][i]], rows["q"][i] * RESOLUTION, rows["target"][i] * RESOLUTION,
            rows["privileged/object_pose"][i], rows["privileged/gravity"][i], first=bool(rows["flags"][i] & FIRST),
        )
        for i in range(dataset.num_rows)
    ]  # fmt: skip


def evaluated(hand: Hand, trace: Trace, environment: int) -> list[Moment]:
    """One environment of a row of an evaluation. Raises ValueError for one that was not traced."""
    count = trace.q.shape[1]
    if not 0 <= environment < count:
        raise ValueError(f"environments 0 to {count - 1} were traced, asked for {environment}")
    one = jax.tree.map(lambda x: np.asarray(x)[:, environment], trace)
    after_drop, clip = np.concatenate([[False], one.drops[:-1]]), []
    for i in range(len(one.q)):
        shape = jax.tree.map(lambda x, i=i: x[i], one.object)
        if clip and all(map(np.array_equal, jax.tree.leaves(shape), jax.tree.leaves(clip[-1].shape))):
            shape = clip[-1].shape  # one object is drawn once
        seen = one.q[i], one.q[i], one.object_pose[i], one.gravity[i], one.goal_pose[i]
        clip.append(_moment(hand, "an evaluated object", *seen, first=bool(after_drop[i]), shape=shape))
    return clip


def _moment(
    hand: Hand, thing: str, q: np.ndarray, target: np.ndarray, object_pose: np.ndarray, gravity: np.ndarray,
    goal_pose: np.ndarray | None = None, **more: Any,
) -> Moment:  # fmt: skip
    q, target, gravity = (np.asarray(value, np.float32) for value in (q, target, gravity))
    touch, still = np.zeros(len(hand.touch_names), np.float32), np.zeros_like(q)
    pose = np.asarray(object_pose)
    return Moment(thing, 1.0, q, q, target, pose, goal_pose, gravity, touch, still, False, False, **more)
