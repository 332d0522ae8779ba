import collect_dataset
import numpy as np
import pytest

from dexgen_jax.dataset import store, windows
from dexgen_jax.hand import allegro

HAND = allegro.load()


def _dataset(folder):
    """Two blocks of one stream of 50 rows; the second one drops at row 29, is disturbed at row 3 and wins at row 40."""
    flags = np.zeros((2, 1, 50), np.uint8)
    flags[:, :, 0] = windows.FIRST
    flags[1, 0, [3, 29, 40]] = windows.PERTURBED, windows.DROP, windows.SUCCESS
    flags[1, 0, 30] = windows.FIRST
    writer = store.create(folder, HAND, store.Layout(2, 1, 50), {})
    for block in range(2):
        zeros = {name: np.zeros((1, 50, *c.shape), c.dtype) for name, c in store.columns(HAND).items()}
        writer.write(block, zeros | {"flags": flags[block]})
    return store.open_dataset(folder)


def test_the_result_counts_what_is_stored(tmp_path):
    found = collect_dataset.describe(_dataset(tmp_path), drop_seconds=2.0)
    assert (found["transitions"], found["drops"], found["goals"], found["invalid"]) == (100, 1, 1, 0)
    assert found["seconds_per_drop"] == pytest.approx(10.0) and found["disturbed"] == 0.01
    # A row counts if the next is of its own episode: 49 in block 0. In block 1 rows 0 .. 8, for the last 20 before
    # the drop are 10 .. 29, less the disturbed row 3; and 19 of the second episode.
    assert found["kept"] == pytest.approx((49 + 8 + 19) / 100)
