"""What is said of a dataset, on one that was made up."""

import numpy as np
import pytest

from dexgen_jax.dataset import store, summary
from dexgen_jax.hand import allegro

HAND, LAYOUT = allegro.load(), store.Layout(blocks=2, streams=2, rows=10)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Block 0 of one task with a cube and a rod, block 1 of another with a rod of its own number."""
    objects = ["cube_55", "rod_30_150", "rod_30_150"]
    return _recorded(tmp_path_factory.mktemp("summary"), {"control_hz": 10.0, "objects": objects})


def _recorded(folder, attributes):
    writer = store.create(folder, HAND, LAYOUT, attributes)
    for block, numbers in enumerate(([0, 1], [2, 2])):
        columns = {name: np.zeros((2, 10, *column.shape), column.dtype) for name, column in store.columns(HAND).items()}
        columns["privileged/object_index"][:] = np.array(numbers)[:, None]
        columns["mode"][:] = block
        columns["flags"][0, 4] = store.DROP
        columns["flags"][0, 5] = store.FIRST
        writer.write(block, columns)
    return store.open_dataset(folder, HAND)


def test_shares_of_modes_and_objects_add_up_whatever_tasks_they_are_of(dataset):
    found = summary.describe(dataset, 0.2, ("default", "other", "none"))
    assert found["objects"] == {"cube_55": 0.25, "rod_30_150": 0.75}
    assert found["modes"] == {"default": 0.5, "other": 0.5}


def test_objects_without_names_are_not_told_apart(tmp_path):
    assert summary.describe(_recorded(tmp_path, {"control_hz": 10.0}), 0.2, ("default", "other"))["objects"] == {}


def test_invalid_rows_are_no_transitions(tmp_path):
    """Streams of 10 rows: one is cut short by padding, one holds nothing, and two hold what counts."""
    columns = {name: np.zeros((4, 10, *column.shape), column.dtype) for name, column in store.columns(HAND).items()}
    columns["q"][:3] = 100
    columns["mode"][2:] = 1
    columns["flags"][0, 6:] = columns["flags"][3] = store.INVALID
    columns["flags"][1, [2, 9]] = store.PERTURBED, store.DROP
    writer = store.create(tmp_path, HAND, store.Layout(1, 4, 10), {"control_hz": 10.0})
    writer.write(0, columns)
    found = summary.describe(store.open_dataset(tmp_path), 0.3, ("default", "other"))
    assert (found["transitions"], found["invalid"]) == (26, 14)
    assert found["hours"] == pytest.approx(2.6 / 3600) and found["seconds_per_drop"] == pytest.approx(2.6)
    assert found["modes"] == {"default": pytest.approx(16 / 26), "other": pytest.approx(10 / 26)}
    assert found["kept"] == pytest.approx(23 / 26) and found["disturbed"] == pytest.approx(1 / 26)
    assert set(map(tuple, found["joints_rad"].values())) == {(0.01, 0.01)}


def test_without_a_row_that_counts_there_is_nothing_to_tell(tmp_path):
    columns = {name: np.zeros((2, 10, *column.shape), column.dtype) for name, column in store.columns(HAND).items()}
    store.create(tmp_path, HAND, LAYOUT, {}).write(0, columns | {"flags": columns["flags"] + np.uint8(store.INVALID)})
    with pytest.raises(ValueError, match="all rows of .* are marked as invalid"):
        summary.describe(store.open_dataset(tmp_path), 0.2, ("default",))


def test_rows_drops_and_time(dataset):
    found = summary.describe(dataset, 0.2, ("default", "other"))
    assert (found["transitions"], found["drops"], found["goals"]) == (40, 2, 0)
    assert found["hours"] == pytest.approx(4 / 3600) and found["seconds_per_drop"] == 2.0
    assert (found["blocks"], found["missing_blocks"]) == (2, 0)
