"""Windows: the short pieces of a recording that the controller learns from, cut on the device when they are needed.

A window looks back over `history` rows (the condition, which needs nothing but joint positions and targets) and ahead
over `horizon` rows (the motion of the keypoints). Recordings keep only joints; keypoints are computed here.
"""

from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax.dataset.store import DROP, FIRST, INVALID, PERTURBED, RESOLUTION
from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand


@struct.dataclass
class Window:
    """One training example. H rows of history, T rows ahead, n joints, K keypoints."""

    condition: jax.Array  # (H, C) m and rad, see `condition`
    offsets: jax.Array  # (T, K, 3) m, palm frame: keypoints at row t + i minus keypoints at row t
    mode: jax.Array  # () int32
    action: jax.Array  # (n,) rad: the joint target set at row t, minus q at row t


@struct.dataclass
class Recording:
    """Streams of joint readings on the device, with the rows at which a whole window may be cut."""

    q: jax.Array  # (S, L, n) int16 in units of RESOLUTION, or float rad
    target: jax.Array  # (S, L, n) likewise: the target in force when q was read
    mode: jax.Array  # (S, L) uint8
    index: jax.Array  # (m,) int32: stream * L + row; what stands behind the first `count` is not drawn
    count: jax.Array  # () int32


def recording(columns: Mapping[str, np.ndarray], history: int, horizon: int, drop_rows: int) -> Recording:
    """Moves the columns q, target, mode and flags of a dataset to the device; see `valid_index` for the rest.

    Raises ValueError if not a single window can be cut.
    """
    index = valid_index(columns["flags"], history, horizon, drop_rows)
    if not len(index):
        raise ValueError(
            f"no window of {history + horizon} rows fits these {columns['flags'].shape} streams and rows without its "
            f"episode's end or the {drop_rows} rows before a drop: record longer, or with an expert that drops less"
        )
    arrays = (*(columns[name] for name in ("q", "target", "mode")), index, np.int32(len(index)))
    return Recording(*map(jnp.asarray, arrays))


def condition(hand: Hand, q: jax.Array, target: jax.Array) -> jax.Array:
    """Returns what the controller sees, (H, 3 * tips + 3 n): all that a bare hand can feel.

    Each row of `q` and `target` (H, n) [rad], oldest first, becomes fingertip positions [m, palm frame], joint
    positions, joint targets and control errors target - q [rad]; with 4 rows of the Allegro hand 240 numbers.
    Source: arXiv:2502.04307, appendix F.
    """
    return _condition(hand, jax.vmap(lambda joints: kinematics.keypoints(hand, joints))(q), q, target)


def _condition(hand: Hand, keypoints: jax.Array, q: jax.Array, target: jax.Array) -> jax.Array:
    chex.assert_equal_shape([q, target])
    tips = keypoints[:, : hand.num_tips].reshape(len(q), -1)
    return jnp.concatenate([tips, q, target, target - q], axis=-1)


def condition_size(hand: Hand) -> int:
    """Returns the length of one row of `condition`."""
    return 3 * hand.num_tips + 3 * hand.num_joints


def cut(
    hand: Hand, recording: Recording, at: jax.Array, history: int, horizon: int, reading_noise: jax.Array | None = None
) -> Window:
    """Cuts the window at `at` = stream * L + row, a number of `recording.index`; vmap to batch.

    `reading_noise` (H, n) [rad] is added to the joint positions that the condition sees and the action starts from.
    """
    stream, row = jnp.divmod(at, recording.mode.shape[1])
    first = row - history + 1
    q, target = (
        _radians(jax.lax.dynamic_slice(rows, (stream, first, 0), (1, history + horizon, rows.shape[-1]))[0])
        for rows in (recording.q, recording.target)
    )
    now = history - 1
    seen = q[:history] if reading_noise is None else q[:history] + reading_noise
    # One pass over all rows: the program is half as long, and compiles in half the time.
    keypoints = jax.vmap(lambda joints: kinematics.keypoints(hand, joints))(jnp.concatenate([seen, q[now:]]))
    before, ahead = keypoints[:history], keypoints[history:]
    return Window(
        condition=_condition(hand, before, seen, target[:history]),
        offsets=ahead[1:] - ahead[:1],
        mode=recording.mode[stream, row].astype(jnp.int32),
        action=target[now + 1] - seen[now],
    )


def draw(
    hand: Hand, recording: Recording, key: jax.Array, batch: int, history: int, horizon: int,
    noise: tuple[float, float] = (0.0, 0.0),
) -> Window:  # fmt: skip
    """Cuts `batch` windows drawn with replacement.

    Joint readings are disturbed: `noise` has the standard deviations [rad] of what is new in every row, and of what is
    the same in all rows of a window.
    """
    key_rows, key_noise, key_offset = jax.random.split(key, 3)
    joints = recording.q.shape[-1]
    chosen = recording.index[jax.random.randint(key_rows, (batch,), 0, recording.count)]
    shakes = noise[0] * jax.random.normal(key_noise, (batch, history, joints))
    shakes += noise[1] * jax.random.normal(key_offset, (batch, 1, joints))
    return jax.vmap(lambda at, shake: cut(hand, recording, at, history, horizon, shake))(chosen, shakes)


def valid_index(flags: np.ndarray, history: int, horizon: int, drop_rows: int) -> np.ndarray:
    """Returns (m,) int32, stream * L + row: every row of `flags` (S, L) at which a window may be cut.

    A window's rows t - history + 1 .. t + horizon must lie in one episode, and none of them may be among the last
    `drop_rows` rows before a drop, nor be marked INVALID. The actions that lead through the motion, those of rows
    t .. t + horizon - 1, must not be PERTURBED: a disturbance is not to be learned, what follows it is. The filter
    belongs to the reader: recordings keep all rows.
    """
    if flags.ndim != 2:
        raise ValueError(f"flags must be (streams, rows), got shape {flags.shape}")
    length = flags.shape[1]
    first, last = history - 1, length - horizon  # rows t in [first, last) have room on both sides
    if last <= first:
        return np.zeros(0, np.int32)
    bad = before_drop(flags, drop_rows) | (flags & INVALID > 0)
    seams = flags & FIRST > 0
    span = history + horizon
    clean = _running_sum(bad, span) == 0
    # The window's own first row may begin an episode; a seam at any later row would join two episodes.
    whole = _running_sum(seams[:, 1:], span - 1) == 0
    meant = _running_sum(flags & PERTURBED > 0, horizon)[:, first:-1] == 0
    valid = np.zeros(flags.shape, bool)
    valid[:, first:last] = clean & whole & meant
    return np.flatnonzero(valid).astype(np.int32)


def before_drop(flags: np.ndarray, rows: int) -> np.ndarray:
    """Marks the last `rows` rows of each episode that ends in a drop, the dropping row included, in `flags` (S, L)."""
    length = flags.shape[1]
    row = np.arange(length)
    ends = np.where(flags & DROP > 0, row, length + rows)
    next_drop = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
    start = np.maximum.accumulate(np.where(flags & FIRST > 0, row, 0), axis=1)
    # A drop counts only if it ends this very episode: its row must have started where this row's episode did.
    drop = np.minimum(next_drop, length - 1)
    same = np.take_along_axis(start, drop, axis=1) == start
    return same & (next_drop - row < rows)


def _running_sum(marks: np.ndarray, span: int) -> np.ndarray:
    """Returns (S, L - span + 1): how many of `span` consecutive rows are marked."""
    total = np.pad(np.cumsum(marks, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    return total[:, span:] - total[:, :-span]


def _radians(stored: jax.Array) -> jax.Array:
    return stored * jnp.float32(RESOLUTION) if jnp.issubdtype(stored.dtype, jnp.integer) else stored
