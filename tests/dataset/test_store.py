import dataclasses
import json
import os

import numpy as np
import pytest

from dexgen_jax.dataset import places, store
from dexgen_jax.hand import allegro

HAND = allegro.load()
LAYOUT = store.Layout(blocks=3, streams=4, rows=6)
MADE = {"seed": 7, "objects": ["cube"]}


def _block(seed: int, layout: store.Layout = LAYOUT) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {name: (layout.streams, layout.rows, *c.shape) for name, c in store.columns(HAND).items()}
    return {
        name: (
            rng.integers(0, 200, shapes[name]) if np.dtype(c.dtype).kind in "iu" else rng.normal(size=shapes[name])
        ).astype(c.dtype)
        for name, c in store.columns(HAND).items()
    }


def _write(folder, blocks=(0, 1, 2)) -> store.Writer:
    writer = store.create(folder, HAND, LAYOUT, MADE)
    for block in blocks:
        writer.write(block, _block(block))
    return writer


def test_what_is_read_is_what_was_written(tmp_path):
    _write(tmp_path)
    dataset = store.open_dataset(tmp_path, HAND)
    assert (dataset.num_streams, dataset.num_rows) == (12, 6)
    assert dataset.attributes["seed"] == 7 and dataset.attributes["hand"] == "allegro"
    for name, values in dataset.read().items():
        np.testing.assert_array_equal(values, np.concatenate([_block(b)[name] for b in range(3)]), err_msg=name)
        assert values.dtype == store.columns(HAND)[name].dtype


def test_a_range_of_streams_and_some_columns_across_blocks(tmp_path):
    _write(tmp_path, blocks=(0, 2))  # block 1 is not committed: streams 4.. are block 2's
    read = store.open_dataset(tmp_path).read(["q", "privileged/object_index"], slice(2, 7))
    assert list(read) == ["q", "privileged/object_index"]
    np.testing.assert_array_equal(read["q"], np.concatenate([_block(0)["q"][2:], _block(2)["q"][:3]]))
    expected = [*_block(0)["privileged/object_index"][2:], *_block(2)["privileged/object_index"][:3]]
    np.testing.assert_array_equal(read["privileged/object_index"], expected)
    assert store.open_dataset(tmp_path).read(["flags"], slice(5, 5))["flags"].shape == (0, 6)


def test_blocks_of_zeros_leave_files_too(tmp_path):
    writer = store.create(tmp_path, HAND, LAYOUT, MADE)
    writer.write(0, {name: np.zeros_like(values) for name, values in _block(0).items()})
    assert store.open_dataset(tmp_path).read(["mode"])["mode"].max() == 0


def test_a_writer_goes_on_where_another_stopped(tmp_path):
    assert _write(tmp_path, blocks=(1,)).missing() == [0, 2]
    again = store.create(tmp_path, HAND, LAYOUT, MADE)
    assert again.missing() == [0, 2]
    again.write(0, _block(0))
    again.write(2, _block(2))
    assert again.missing() == [] and store.open_dataset(tmp_path).blocks == (0, 1, 2)


def test_blocks_without_a_marker_are_never_read(tmp_path):
    _write(tmp_path)
    os.remove(tmp_path / "committed" / "00001.json")  # as a kill between the data and the marker leaves it
    (tmp_path / "q" / "c" / "1" / "0" / "0").write_bytes(b"half a fi")
    dataset = store.open_dataset(tmp_path)
    assert dataset.blocks == (0, 2)
    np.testing.assert_array_equal(dataset.read(["q"], slice(4, 8))["q"], _block(2)["q"])
    writer = store.create(tmp_path, HAND, LAYOUT, MADE)
    assert writer.missing() == [1]
    writer.write(1, _block(1))
    np.testing.assert_array_equal(store.open_dataset(tmp_path).read(["q"], slice(4, 8))["q"], _block(1)["q"])


def test_a_create_that_was_killed_can_be_repeated_with_another_layout(tmp_path):
    store.create(tmp_path, HAND, LAYOUT, MADE)
    os.remove(tmp_path / "zarr.json")  # it is written last
    layout = dataclasses.replace(LAYOUT, rows=9)
    store.create(tmp_path, HAND, layout, MADE).write(0, _block(0, layout))
    assert store.open_dataset(tmp_path).read(["q"])["q"].shape == (4, 9, 16)


def test_quantisation_is_half_a_unit_and_refuses_what_does_not_fit():
    # 0.12346 rad is 1234.6 units of 1e-4 rad, stored as 1235.
    assert store.quantise(np.array([0.12346, -0.12346])).tolist() == [1235, -1235]
    q = np.random.default_rng(0).uniform(-3.2, 3.2, 1000)
    assert np.abs(store.RESOLUTION * store.quantise(q) - q).max() < 0.51e-4
    with pytest.raises(ValueError, match=r"joint value 3\.4 rad does not fit: .* reaches \+-3\.2767 rad"):
        store.quantise(np.array([0.0, 3.4]))
    with pytest.raises(ValueError, match="joint value nan"):
        store.quantise(np.array([0.0, np.nan]))


def test_no_dataset(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no dataset in .*nowhere; make one there with exp"):
        store.open_dataset(tmp_path / "nowhere")
    store.create(tmp_path, HAND, LAYOUT, MADE)
    with pytest.raises(ValueError, match="has no committed block yet"):
        store.open_dataset(tmp_path)


@pytest.mark.parametrize("fault", ["missing", "truncated"])
def test_a_file_that_was_cut_short_is_named(tmp_path, fault):
    _write(tmp_path)
    path = tmp_path / "target" / "c" / "1" / "0" / "0"
    if fault == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-50])
    words = "is missing" if fault == "missing" else r"has \d+ bytes instead of \d+"
    with pytest.raises(ValueError, match=rf"target/c/1/0/0 is damaged \({words}\): delete .* and collect"):
        store.open_dataset(tmp_path)


def test_an_object_that_was_lost_in_a_bucket_is_named_when_it_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr(places.Folder, "size", lambda place, name: None)  # as in a bucket
    _write(tmp_path)
    (tmp_path / "target" / "c" / "1" / "0" / "0").unlink()
    dataset = store.open_dataset(tmp_path)
    dataset.read(["target"], slice(0, 4))  # the block beside it is whole
    with pytest.raises(ValueError, match=r"target/c/1/0/0 is damaged \(is missing\): delete"):
        dataset.read(["target"], slice(3, 5))


def test_a_file_with_a_flipped_bit_is_named(tmp_path):
    _write(tmp_path)
    path = tmp_path / "q" / "c" / "2" / "0" / "0"
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    dataset = store.open_dataset(tmp_path)
    dataset.read(["q"], slice(0, 8))  # the blocks beside it are whole
    with pytest.raises(ValueError, match=r"q/c/2/0/0 is damaged \(wrong checksum\)"):
        dataset.read(["q"])


def test_another_version_another_hand_and_damaged_attributes(tmp_path):
    _write(tmp_path)
    other = dataclasses.replace(HAND, name="leap")
    with pytest.raises(ValueError, match="is of hand 'allegro' .* asked for 'leap'"):
        store.open_dataset(tmp_path, other)
    group = json.loads((tmp_path / "zarr.json").read_text())
    group["attributes"]["format_version"] = 99
    (tmp_path / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(ValueError, match="has format version 99, this code reads 1"):
        store.open_dataset(tmp_path)
    (tmp_path / "zarr.json").write_text('{"attributes": {')
    with pytest.raises(ValueError, match=r"zarr\.json is damaged"):
        store.open_dataset(tmp_path)


def test_a_dataset_made_otherwise_is_not_continued(tmp_path):
    _write(tmp_path)
    with pytest.raises(ValueError, match="holds a dataset made otherwise: its seed is 7, now it is 8"):
        store.create(tmp_path, HAND, LAYOUT, MADE | {"seed": 8})


def test_blocks_that_do_not_fit_are_refused_before_anything_is_written(tmp_path):
    writer = store.create(tmp_path, HAND, LAYOUT, MADE)
    with pytest.raises(ValueError, match=r"column q must be int16 \(4, 6, 16\), got float32"):
        writer.write(0, _block(0) | {"q": np.zeros((4, 6, 16), np.float32)})
    with pytest.raises(ValueError, match="a block needs the columns"):
        writer.write(0, {"q": np.zeros((4, 6, 16), np.int16)})
    with pytest.raises(ValueError, match="block 3 is outside this dataset of 3 blocks"):
        writer.write(3, _block(0))
    assert writer.missing() == [0, 1, 2]


def test_unknown_columns_and_gaps_are_named(tmp_path):
    _write(tmp_path, blocks=(0,))
    dataset = store.open_dataset(tmp_path)
    with pytest.raises(ValueError, match="no column 'qq' in .*; there are: q, target"):
        dataset.read(["qq"])
    with pytest.raises(ValueError, match="without gaps, got step 2"):
        dataset.read(["q"], slice(0, 4, 2))


@pytest.mark.parametrize("name", ["sweep[lr=1]", "star*", "100%20", "a:b", "two\nlines", "größe", "~", "a/../b", "a#b"])
def test_whatever_the_folder_is_called_it_is_used_as_meant(name, tmp_path):
    (tmp_path / "a").mkdir()
    folder = tmp_path / name / "dataset"
    _write(folder)
    assert store.open_dataset(folder, HAND).read(["mode"])["mode"].shape == (12, 6)
    assert (folder / "q" / "c").is_dir()


def test_a_folder_that_the_storage_would_misread_is_refused(tmp_path):
    for name in ("back\\slash", os.fsdecode(b"\xff")):
        with pytest.raises(ValueError, match="choose a path of UTF-8 text without a backslash"):
            _write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_datasets_of_one_layout_are_read_as_one(tmp_path):
    _write(tmp_path / "a", blocks=(0, 2))
    _write(tmp_path / "b", blocks=(1,))
    a, b = (store.open_dataset(tmp_path / name) for name in "ab")
    both = store.join(a, b)
    assert both.blocks == (0, 2, 4) and both.num_streams == 12 and both.layout.blocks == 6
    expected = np.concatenate([_block(i)["q"] for i in (0, 2, 1)])
    np.testing.assert_array_equal(both.read(["q"])["q"], expected)
    for part in (slice(1, 3), slice(6, 11), slice(8, 12), slice(3, 3)):
        np.testing.assert_array_equal(both.read(["q"], part)["q"], expected[part])
    with pytest.raises(ValueError, match="without gaps, got step 2"):
        both.read(["q"], slice(0, 12, 2))
    writer = store.create(tmp_path / "c", HAND, dataclasses.replace(LAYOUT, rows=9), MADE)
    writer.write(0, _block(0, writer.layout))
    with pytest.raises(ValueError, match="c and .*a cannot be read as one: the rows of a stream is 9, and 6 in the o"):
        store.join(a, store.open_dataset(tmp_path / "c"))
