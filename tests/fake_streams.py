"""Recordings without physics: fingers that follow slowly wandering targets."""

import numpy as np

from dexgen_jax.dataset import store
from dexgen_jax.hand import allegro


def columns(streams: int, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """All the columns of a dataset of the Allegro hand; what only a simulator knows is zero."""
    hand, rng = allegro.load(), np.random.default_rng(seed)
    middle = (hand.lower + hand.upper) / 2
    q = target = np.tile(middle, (streams, 1))
    history = []
    for _ in range(rows):
        history.append((q, target))
        target = np.clip(
            target + 0.08 * rng.standard_normal(q.shape) + 0.05 * (middle - target), hand.lower, hand.upper
        )
        q = q + 0.6 * (target - q)
    table = store.columns(hand)
    arrays = {name: np.zeros((streams, rows, *column.shape), column.dtype) for name, column in table.items()}
    arrays["q"], arrays["target"] = (store.quantise(np.stack(readings, 1)) for readings in zip(*history, strict=True))
    arrays["flags"][:, 0] = store.FIRST
    return arrays
