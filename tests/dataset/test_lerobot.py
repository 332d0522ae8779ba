"""Laws: what is exported comes back the same, and a log that cannot be right is refused where it is wrong."""

import json
import os
from pathlib import Path

import fake_streams
import numpy as np
import processes
import pytest

import dexgen_jax
from dexgen_jax.dataset import store, windows
from dexgen_jax.hand import allegro

pq = pytest.importorskip("pyarrow.parquet", reason="pip install 'dexgen_jax[lerobot]'")
from dexgen_jax.dataset import lerobot, lerobot_import  # noqa: E402

HAND = allegro.load()
MODES = ("default", "precision_rotation")
ROWS = 30


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two blocks of two streams; the first stream drops at row 11, the second is of another mode."""
    writer = store.create(tmp_path_factory.mktemp("data"), HAND, store.Layout(2, 2, ROWS), {"control_hz": 10.0})
    for block in range(2):
        columns = fake_streams.columns(2, ROWS, seed=block)
        columns["flags"][0, [11, 12]] |= np.uint8([store.DROP, store.FIRST])
        columns["mode"][1] = 1
        writer.write(block, columns)
    return store.open_dataset(writer.place)


@pytest.fixture
def exported(dataset, tmp_path):
    lerobot.write(dataset, tmp_path / "out", MODES)
    return tmp_path / "out"


def spoil(folder, column, frame, change):
    """Changes one value of the log."""
    path = folder / "data/chunk-000/file-000.parquet"
    columns = {
        name: np.asarray(values.to_pylist())
        for name, values in zip(pq.read_table(path).column_names, pq.read_table(path).columns, strict=True)
    }
    change(columns[column], frame)
    lerobot._write_table(path, {name: _as_written(name, values) for name, values in columns.items()})


def _as_written(name, values):
    return values.astype(np.float32) if values.dtype == np.float64 else values


def test_a_frame_holds_reading_and_target_set_and_episodes_lose_their_last_row(dataset, exported):
    info = json.loads((exported / "meta/info.json").read_text())
    # Streams 0 and 2 have episodes of 12 and 18 rows, 1 and 3 one of 30: 11 + 17 + 29 frames, twice.
    assert (info["total_episodes"], info["total_frames"], info["fps"]) == (6, 114, 10)
    assert info["features"]["action"]["names"] == list(HAND.joint_names)
    frames = pq.read_table(exported / "data/chunk-000/file-000.parquet").to_pydict()
    read = dataset.read(["q", "target"], slice(0, 1))
    np.testing.assert_allclose(frames["observation.state"][5], store.RESOLUTION * read["q"][0, 5], atol=1e-6)
    np.testing.assert_allclose(frames["action"][5], store.RESOLUTION * read["target"][0, 6], atol=1e-6)
    assert frames["episode_index"][10:12] == [0, 1] and frames["frame_index"][10:12] == [10, 0]
    assert frames["task_index"][28] == 1 and frames["timestamp"][5] == pytest.approx(0.5)
    assert frames["observation.flags"][10] == store.DROP  # it ended in a drop, which the row that is left out says
    episodes = pq.read_table(exported / "meta/episodes/chunk-000/file-000.parquet").to_pydict()
    assert episodes["dataset_to_index"] == [11, 28, 57, 68, 85, 114] and episodes["data/file_index"][3] == 1
    with pytest.raises(ValueError, match="out exists already"):
        lerobot.write(dataset, exported, MODES)


def test_what_was_exported_comes_back(dataset, exported, tmp_path):
    back = lerobot_import.read(exported, HAND, tmp_path / "back", MODES, rows=ROWS, streams=2)
    assert back.attributes["dexgen_jax"] == dexgen_jax.__version__
    found, given = back.read(), dataset.read()
    # Episodes of 11 and 17 fit a stream of 30 together, 29 is alone.
    for stream, starts in ((0, ((0, 0, 11), (11, 12, 17))), (1, ((0, 0, 29),)), (2, ((0, 0, 11), (11, 12, 17)))):
        for to, start, length in starts:
            for name in ("q", "target", "mode"):
                expected = given[name][stream, start : start + length]
                np.testing.assert_array_equal(found[name][stream, to : to + length], expected, err_msg=name)
    flags = found["flags"][0]
    assert (flags[[0, 11]] & store.FIRST).all() and flags[10] & store.DROP and (flags[28:] == store.INVALID).all()


def test_what_was_padded_by_an_import_is_not_exported_again(exported, tmp_path):
    # 114 frames in four streams of 31 rows, and three streams that hold nothing.
    back = lerobot_import.read(exported, HAND, tmp_path / "back", MODES, rows=31, streams=7)
    assert back.num_streams * back.num_rows == 217
    # Each of the six episodes loses its last row once more.
    assert lerobot.write(back, tmp_path / "again", MODES) == {"episodes": 6, "frames": 108}
    stats, before = (json.loads((folder / "meta/stats.json").read_text()) for folder in (tmp_path / "again", exported))
    assert stats["action"]["count"] == [108]
    np.testing.assert_allclose(stats["action"]["std"], before["action"]["std"], rtol=0.1)


def test_an_episode_ends_before_its_first_invalid_row():
    block = {name: values[:1] for name, values in fake_streams.columns(1, 20).items()}
    # Lost at row 5, it falls until row 8. Row 14 breaks the simulation. Then nothing is valid.
    block["flags"][0, [5, 9, 15]] |= np.uint8([store.DROP, store.FIRST, store.FIRST])
    block["flags"][0, 6:9] = store.INVALID
    block["flags"][0, 14] = store.DROP | store.INVALID
    block["flags"][0, 15:] |= np.uint8(store.INVALID)
    found = list(lerobot._episodes(block))
    assert [len(episode["mode"]) for episode in found] == [5, 4]  # rows 0 to 4 and 9 to 12
    np.testing.assert_allclose(found[1]["action"][-1], store.RESOLUTION * block["target"][0, 13], atol=1e-6)
    for episode in found:
        assert (episode["observation.flags"] & store.DROP).tolist() == [0] * (len(episode["mode"]) - 1) + [store.DROP]
        assert not (episode["observation.flags"] & store.INVALID).any()


def test_a_long_episode_is_cut_so_that_the_rows_before_its_drop_stay_together():
    """25 rows that end in a drop, in streams of 10: whoever leaves out the last 8 learns from none of them."""

    def pieces_of(length):
        flags = np.zeros(length, np.uint8)
        flags[-1:] = store.DROP
        return list(lerobot_import._pieces({"mode": np.arange(length), "flags": flags}, rows=10))

    pieces = pieces_of(25)
    assert [piece["mode"].tolist() for piece in pieces] == [[*range(5)], [*range(5, 15)], [*range(15, 25)]]
    assert all(piece["flags"][0] == store.FIRST for piece in pieces)
    last = windows.valid_index(pieces[-1]["flags"][None], history=1, horizon=1, drop_rows=8)
    assert pieces[-1]["mode"][last].tolist() == [15]  # row 16 is the end of its window
    sizes = [[len(piece["mode"]) for piece in pieces_of(length)] for length in (0, 1, 2, 10, 11, 20)]
    assert sizes == [[], [], [2], [10], [10], [10, 10]]


def test_a_faster_robot_without_targets_in_force_is_thinned_out(tmp_path):
    """20 Hz, 7 frames: rows 2, 4 and 6 are kept, with the actions of frames 1, 3 and 5 in force."""
    middle = (HAND.lower + HAND.upper) / 2
    state = (middle + 0.01 * np.arange(7)[:, None]).astype(np.float32)
    frames = {
        "observation.state": state,
        "action": state + np.float32(0.002),
        "timestamp": np.arange(7, dtype=np.float32) / 20,
        "frame_index": np.arange(7),
        "episode_index": np.zeros(7, int),
        "index": np.arange(7),
        "task_index": np.zeros(7, int),
    }
    log = tmp_path / "log"
    lerobot._write_table(log / "data/chunk-000/file-000.parquet", frames)
    lerobot._write_table(log / "meta/tasks.parquet", {"task_index": np.arange(1), "task": ["turn it"]}, "task")
    vector = {"dtype": "float32", "shape": [16], "names": {"motors": list(HAND.joint_names)}}
    features = {"observation.state": vector, "action": vector}
    info = {"codebase_version": "v3.0", "fps": 20, "robot_type": "allegro", "features": features}
    (log / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match="has the task 'turn it', which is no mode of the controller; there are: def"):
        lerobot_import.read(log, HAND, tmp_path / "data", MODES)
    with pytest.raises(ValueError, match="no mode 'defualt' of the controller to take for all frames; there are: def"):
        lerobot_import.read(log, HAND, tmp_path / "data", MODES, mode="defualt")
    found = lerobot_import.read(log, HAND, tmp_path / "data", MODES, rows=8, streams=1, mode="default").read()
    np.testing.assert_allclose(store.RESOLUTION * found["q"][0, :3], state[[2, 4, 6]], atol=1e-4)
    np.testing.assert_allclose(store.RESOLUTION * found["target"][0, :3], state[[1, 3, 5]] + 0.002, atol=1e-4)
    assert found["flags"][0].tolist() == [store.FIRST, 0, 0, *[store.INVALID] * 5]
    with pytest.raises(ValueError, match="has 20 frames a second, of which 15.0 cannot be taken evenly"):
        lerobot_import.read(log, HAND, tmp_path / "other", MODES, control_hz=15.0, mode="default")


FAULTS = {
    r"episode 1, frame 4: observation.state\[.*\] is nan": (
        "observation.state", 15, lambda c, i: c[i].__setitem__(3, np.nan)),
    r"episode 0, frame 2: action\[.*\] is 9 rad, outside .* is it in rad": (
        "action", 2, lambda c, i: c[i].__setitem__(0, 9.0)),
    r"episode 0, frame 7: timestamp is 0.3 s after 0.6 s: time must go on": (
        "timestamp", 7, lambda c, i: c.__setitem__(i, 0.3)),
    r"episode 0, frame 1: task_index is 7, which no task has": ("task_index", 1, lambda c, i: c.__setitem__(i, 7)),
}  # fmt: skip


@pytest.mark.parametrize("words", FAULTS, ids=lambda words: FAULTS[words][0])
def test_a_bad_value_is_refused_with_its_frame_and_column(words, exported, tmp_path):
    spoil(exported, *FAULTS[words])
    with pytest.raises(ValueError, match=words):
        lerobot_import.read(exported, HAND, tmp_path / "back", MODES)
    assert not (tmp_path / "back").exists()


def test_other_joints_another_order_and_another_unit_are_refused(exported, tmp_path):
    path = exported / "meta/info.json"
    info = json.loads(path.read_text())
    names = list(HAND.joint_names)

    def refused(words, **changes):
        features = {**info["features"], "action": {**info["features"]["action"], **changes}}
        path.write_text(json.dumps({**info, "features": features}))
        with pytest.raises(ValueError, match=words):
            lerobot_import.read(exported, HAND, tmp_path / "back", MODES)

    refused("action has a joint 'wrist', which the allegro hand has not", names=["wrist", *names[1:]])
    swapped = [names[1], names[0], *names[2:]]
    refused(rf"action\[0\] is '{names[1]}' where the allegro hand has '{names[0]}'", names=swapped)
    refused(r"action\[15\] is 'nothing' where", names=names[:15])
    refused("action is in deg, and must be in rad", info={"unit": "deg"})
    path.write_text(json.dumps({**info, "codebase_version": "v2.1"}))
    with pytest.raises(ValueError, match="has LeRobot's format v2.1, and this reads v3.0"):
        lerobot_import.read(exported, HAND, tmp_path / "back", MODES)


def test_what_is_no_log_is_refused_by_the_file_that_is_missing_or_damaged(exported, tmp_path):
    def refused(words, folder):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            lerobot_import.read(folder, HAND, tmp_path / "back", MODES)
        assert not (tmp_path / "back").exists()

    (tmp_path / "empty").mkdir()
    refused("no LeRobotDataset in .*empty: .*meta/info.json is missing", tmp_path / "empty")
    for path in exported.glob("data/*/*.parquet"):
        path.unlink()
    refused("out has no episode of three rows or more at 10.0 rows a second", exported)
    (exported / "meta/tasks.parquet").unlink()
    refused("the LeRobotDataset in .*out is not whole: .*meta/tasks.parquet is missing", exported)
    (exported / "meta/info.json").write_text("{")
    refused("meta/info.json is damaged .*: export or copy the log again", exported)


def test_the_script_says_in_one_line_that_no_log_was_named(tmp_path, capsys):
    import import_log
    import launch

    config = Path(import_log.__file__).parent / "configs/import_log.py"
    with pytest.raises(SystemExit):
        launch.main(
            import_log.run, ["import_log.py", f"--config={config}", f"--config.run_dir={tmp_path}"], continues=False
        )
    assert capsys.readouterr().err == "error: no log to import: name its folder with --config.folder=FOLDER\n"


@pytest.mark.slow
def test_the_package_lerobot_reads_it(dataset, exported):
    """In an environment of its own, for it needs PyTorch: LEROBOT_PYTHON names its interpreter."""
    python = os.environ.get("LEROBOT_PYTHON", "")
    if not Path(python).is_file():
        pytest.skip("LEROBOT_PYTHON names no interpreter with the package lerobot")
    script = f"""
import json
from lerobot.datasets.lerobot_dataset import LeRobotDataset
data = LeRobotDataset("local/recordings", root={str(exported)!r})
item = data[40]
print(json.dumps({{
    "frames": data.num_frames, "episodes": data.num_episodes, "fps": data.fps, "task": item["task"],
    "state": item["observation.state"].tolist(), "action": item["action"].tolist(), "names": data.meta.names["action"],
}}))
"""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = {**outside, "HF_HUB_OFFLINE": "1"}
    done = processes.run([python, "-c", script], env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["frames"], found["episodes"], found["fps"]) == (114, 6, 10)
    assert found["task"] == "precision_rotation" and found["names"] == list(HAND.joint_names)
    # Frame 40 is row 12 of stream 1, after the 11 and 17 frames of stream 0.
    read = dataset.read(["q", "target"], slice(1, 2))
    np.testing.assert_allclose(found["state"], store.RESOLUTION * read["q"][0, 12], atol=1e-6)
    np.testing.assert_allclose(found["action"], store.RESOLUTION * read["target"][0, 13], atol=1e-6)
