"""Which grasps are goals of which: a graph of nearest neighbours that lie outside the tolerance and inside a radius."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from dexgen_jax.grasps import metric as metrics
from dexgen_jax.grasps.metric import Metric

_BLOCK_SIZE = 4_000_000  # pairs compared at once: bounds memory to some 100 MB
_ROUND = 256  # grasps: an object's are filled up to a multiple of it, or each number would compile a program of its own


@dataclasses.dataclass(frozen=True)
class GraphConfig:
    """Which grasps are neighbours."""

    neighbours: int = 16  # goals of each grasp, at most
    min_angle: float = 0.55  # rad: goals lie outside the success tolerance, or standing still would reach them
    radius: float = 10.0  # units of `metric`: no goal is further away
    metric: Metric = Metric()


@dataclasses.dataclass(frozen=True)
class GoalGraph:
    """The goals of one object's grasps, on the host; grasps outside the largest component are left out."""

    rows: np.ndarray  # (M,) int, which grasps are in the graph
    neighbours: np.ndarray  # (M, k) int32, goals of each as numbers into `rows`, the nearest first
    distance: np.ndarray  # (M, k) float32 units, infinite where there is no such goal
    components: np.ndarray  # (C,) int, sizes of all components before, the largest first

    @property
    def largest_share(self) -> float:
        """Share of all grasps that the graph has kept."""
        return float(self.components[0] / self.components.sum())

    @property
    def isolated(self) -> int:
        """How many grasps had neither a goal nor were one."""
        return int(np.sum(self.components == 1))


def build(q: np.ndarray, pose: np.ndarray, config: GraphConfig) -> GoalGraph:
    """Joins the grasps `q` (N, n), `pose` (N, 7) of one object.

    Goals compare rotations as they are, not up to symmetry, because the tasks do: bringing another face of a cube to
    the front is a goal.
    """
    index, distance = nearest(q, pose, config.metric, config.neighbours, config.min_angle)
    distance = np.where(distance <= config.radius, distance, np.inf).astype(np.float32)
    labels = components(index, distance)
    sizes = np.bincount(labels, minlength=1)
    rows = np.flatnonzero(labels == np.argmax(sizes)) if len(q) else np.zeros(0, int)
    number = np.zeros(len(q), np.int32)
    number[rows] = np.arange(len(rows))  # an edge never leaves its component
    return GoalGraph(rows, number[index[rows]], distance[rows], np.sort(sizes)[::-1])


def nearest(
    q: np.ndarray, pose: np.ndarray, metric: Metric, count: int, min_angle: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns each grasp's nearest others of at least `min_angle` [rad]: rows (N, k), distances (N, k) rising.

    Infinite distances where there are fewer than k = min(`count`, N). Runs on the device in blocks: N x N distances
    are never in memory together.
    """
    if not len(q):
        return np.zeros((0, 0), np.int32), np.zeros((0, 0), np.float32)
    padded = -(-len(q) // _ROUND) * _ROUND
    q_all, pose_all = (np.resize(np.asarray(x, np.float32), (padded, x.shape[1])) for x in (q, pose))
    search = _search(metric, min(count, len(q)), min_angle, block=int(np.clip(_BLOCK_SIZE // padded, 1, padded)))
    index, distance = jax.device_get(search(q_all, pose_all, len(q)))
    # Beside an infinite distance no row means anything, but it shall be one of the grasps.
    return np.minimum(index[: len(q)], len(q) - 1), distance[: len(q)]


@functools.cache
def _search(metric: Metric, count: int, min_angle: float, block: int):
    @jax.jit
    def search(q: jax.Array, pose: jax.Array, there: jax.Array) -> tuple[jax.Array, jax.Array]:
        """As `nearest`, among the first `there` () rows; what it returns of the others means nothing."""

        def of_block(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
            distance, angle = metrics.to_all(q[rows], pose[rows], q, pose, metric)
            column = jnp.arange(len(q))[None]
            other = (rows[:, None] != column) & (column < there)
            negative, index = jax.lax.top_k(-jnp.where((angle >= min_angle) & other, distance, jnp.inf), count)
            return index, -negative

        padded = -(-len(q) // block) * block
        rows = jnp.minimum(jnp.arange(padded), len(q) - 1).reshape(-1, block)
        index, distance = jax.lax.map(of_block, rows)
        return index.reshape(padded, count), distance.reshape(padded, count)

    return search


def components(index: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Labels (N,) of the components that edges (N, k) of finite distance join, whichever way they point."""
    count = len(index)
    row, column = np.nonzero(np.isfinite(distance))
    edges = scipy.sparse.coo_matrix((np.ones(len(row)), (row, index[row, column])), shape=(count, count))
    return scipy.sparse.csgraph.connected_components(edges, directed=False)[1]
