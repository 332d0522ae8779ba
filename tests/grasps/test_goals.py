import numpy as np
import pytest

from dexgen_jax.grasps import goals
from dexgen_jax.grasps.goals import GraphConfig
from dexgen_jax.grasps.metric import Metric


def _grasps(count, seed=0, joints=5, centre=(0, 0, 0)):
    rng = np.random.default_rng(seed)
    quat = rng.standard_normal((count, 4))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    position = np.array(centre) + 0.02 * rng.standard_normal((count, 3))
    pose = np.concatenate([position, quat], axis=1).astype(np.float32)
    return rng.uniform(0, 1, (count, joints)).astype(np.float32), pose


def _brute_force(q, pose):
    """Distances (N, N) and angles by NumPy in double precision."""
    q, pose = q.astype(float), pose.astype(float)
    angle = 2 * np.arccos(np.minimum(np.abs(pose[:, 3:] @ pose[:, 3:].T), 1))
    shift = np.linalg.norm(pose[:, None, :3] - pose[None, :, :3], axis=-1)
    joints = np.sqrt(np.mean((q[:, None] - q[None]) ** 2, axis=-1))
    return shift / 0.02 + angle / 0.4 + joints / 0.3, angle


# All at once; blocks of 7, of which the last is cut short; more than one round number of rows.
@pytest.mark.parametrize("count, block", [(100, 4_000_000), (100, 1800), (300, 4_000_000)])
def test_nearest_are_those_of_a_brute_force_search(count, block, monkeypatch):
    monkeypatch.setattr(goals, "_BLOCK_SIZE", block)
    q, pose = _grasps(count)
    index, distance = goals.nearest(q, pose, Metric(), 5, min_angle=0.55)
    far, angle = _brute_force(q, pose)
    far[(angle < 0.55) | np.eye(count, dtype=bool)] = np.inf
    expected = np.argsort(far, axis=1)[:, :5]
    np.testing.assert_allclose(distance, np.take_along_axis(far, expected, 1), atol=5e-3)
    assert (index == expected).mean() > 0.99  # two that are equally near may change places


def test_more_neighbours_than_there_are_come_at_infinite_distance():
    q, pose = _grasps(4)
    index, distance = goals.nearest(q, pose, Metric(), 9)
    assert index.shape == (4, 4) and np.isfinite(distance[:, :3]).all() and np.isinf(distance[:, 3]).all()
    assert index.max() < 4
    assert goals.nearest(q[:0], pose[:0], Metric(), 9)[0].shape[0] == 0


def test_no_goal_is_inside_the_tolerance_or_outside_the_radius():
    q, pose = _grasps(150, seed=1)
    graph = goals.build(q, pose, GraphConfig(neighbours=6, radius=6.0))
    far, angle = _brute_force(q[graph.rows], pose[graph.rows])
    edge = np.isfinite(graph.distance)
    row = np.nonzero(edge)[0]
    assert edge.any(axis=1).all() and 0.2 < edge.mean() < 1  # all have a goal, and the radius does cut some off
    assert angle[row, graph.neighbours[edge]].min() >= 0.55 - 2e-3
    assert far[row, graph.neighbours[edge]].max() <= 6.0 + 5e-3
    assert (np.diff(np.where(edge, graph.distance, 1e9), axis=1) >= 0).all()


def test_only_the_largest_component_stays_and_the_rest_is_reported():
    sets = [_grasps(60, 0), _grasps(25, 1, centre=(1, 0, 0)), _grasps(1, 2, centre=(2, 0, 0))]
    q, pose = (np.concatenate(parts) for parts in zip(*sets, strict=True))
    order = np.random.default_rng(0).permutation(86)
    graph = goals.build(q[order], pose[order], GraphConfig(neighbours=8, radius=20.0))
    np.testing.assert_array_equal(graph.components, [60, 25, 1])
    np.testing.assert_array_equal(np.sort(order[graph.rows]), np.arange(60))
    assert graph.largest_share == 60 / 86 and graph.isolated == 1
    assert graph.neighbours.max() == 59 and np.isfinite(graph.distance).all()


def test_components_by_hand():
    # 0 -> 1, 2 -> 1, 3 alone, 4 <-> 5; infinite edges join nothing.
    index = np.array([[1, 3], [0, 3], [1, 0], [0, 0], [5, 0], [4, 0]])
    distance = np.array([[1, np.inf], [np.inf, np.inf], [1, np.inf], [np.inf] * 2, [1, np.inf], [2, np.inf]])
    labels = goals.components(index, distance)
    assert labels[0] == labels[1] == labels[2] and labels[4] == labels[5]
    assert len(set(labels)) == 3
