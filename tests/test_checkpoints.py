"""Laws: what is restored is what was saved, to the bit; a kill loses at most what was not complete; damage is named."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import processes
import pytest
from flax import struct

from dexgen_jax import checkpoints
from dexgen_jax.checkpoints import Checkpoints, load_weights, pack, save_weights


@struct.dataclass
class State:
    params: dict
    moments: optax.OptState
    key: jax.Array
    step: int
    host: np.ndarray
    nothing: jax.Array
    half: jax.Array


class Pair(NamedTuple):
    first: np.ndarray
    second: np.ndarray


def make_state(seed: int = 0, width: int = 3) -> State:
    key = jax.random.PRNGKey(seed)
    params = {"Dense_0": {"kernel": jax.random.normal(key, (2, width)), "bias": jnp.array([jnp.nan, jnp.inf, -0.0])}}
    return State(
        params=params,
        moments=optax.adam(1e-3).init(params),
        key=key,
        step=7 + seed,
        host=np.array([2**53 + 1, -1]),  # not representable in 32 bits
        nothing=jnp.zeros((0, 3)),
        half=jnp.array([1.5, 2.5], jnp.bfloat16),
    )


def assert_same_bits(tree, other):
    assert jax.tree.structure(tree) == jax.tree.structure(other)
    for leaf, twin in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        assert type(leaf) is type(twin)
        leaf, twin = np.asarray(leaf), np.asarray(twin)
        assert (leaf.dtype, leaf.shape, leaf.tobytes()) == (twin.dtype, twin.shape, twin.tobytes())


def test_restored_is_saved_to_the_bit(tmp_path):
    state = make_state()
    Checkpoints(tmp_path / "state").save(10, state)
    restored = Checkpoints(tmp_path / "state").restore(make_state(seed=1))
    assert_same_bits(restored, state)


def test_shapes_alone_are_a_template(tmp_path):
    tree = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.array(3, jnp.int32)}
    Checkpoints(tmp_path).save(0, tree)
    assert_same_bits(Checkpoints(tmp_path).restore(jax.eval_shape(lambda: tree)), tree)


def test_newest_is_restored_and_older_ones_go(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest_step() is None
    for step in (1, 2, 10):  # as text, '10' sorts before '2'
        checkpoints.save(step, {"x": jnp.full(3, float(step))})
    assert checkpoints.steps() == [2, 10]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "2"]
    np.testing.assert_array_equal(checkpoints.restore({"x": jnp.zeros(3)})["x"], [10.0, 10.0, 10.0])


def test_a_step_saved_twice_holds_the_second(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, {"x": jnp.zeros(2)})
    checkpoints.save(5, {"x": jnp.ones(2)})
    np.testing.assert_array_equal(checkpoints.restore({"x": jnp.zeros(2)})["x"], [1.0, 1.0])


def test_what_a_kill_left_half_written_is_not_seen_and_is_swept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": jnp.ones(2)})
    (tmp_path / ".part-2" / "state").mkdir(parents=True)
    (tmp_path / ".part-2" / "state" / "d").write_bytes(b"half")
    assert checkpoints.latest_step() == 1
    np.testing.assert_array_equal(checkpoints.restore({"x": jnp.zeros(2)})["x"], [1.0, 1.0])
    checkpoints.save(3, {"x": jnp.ones(2)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]


SAVES_FOR_EVER = """
import sys, numpy as np
from dexgen_jax.checkpoints import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
for step in range(10**6):
    checkpoints.save(step, {"x": np.full(50_000, float(step)), "y": np.full(10, float(step))})
    print(step, flush=True)
"""


def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", SAVES_FOR_EVER, str(tmp_path)]
    with processes.started(command, stdout=processes.PIPE, env=environment) as process:
        for delay in (0.0, 0.013, 0.029):  # seconds after a save; a save takes about 0.05
            process.stdout.readline()
            time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        reported = [int(line) for line in process.stdout.read().split()]
    checkpoints = Checkpoints(tmp_path)
    step = checkpoints.latest_step()
    assert step >= max(reported, default=0)
    restored = checkpoints.restore({"x": np.empty(50_000), "y": np.empty(10)})
    assert np.all(restored["x"] == step) and np.all(restored["y"] == step)


def largest_file(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def test_truncated_checkpoint_is_refused_with_the_way_out(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"x": np.random.default_rng(0).normal(size=1000)})
    path = largest_file(tmp_path / "2")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"2 is damaged: .* bytes of .*; delete this folder to continue from step 1"):
        checkpoints.restore({"x": np.empty(1000)})


def test_changed_byte_and_lost_manifest_are_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": np.random.default_rng(0).normal(size=1000)})
    path = largest_file(tmp_path / "1")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="the content of .* has changed; delete this folder to begin again"):
        checkpoints.restore({"x": np.empty(1000)})
    (tmp_path / "1" / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="manifest.json cannot be read"):
        checkpoints.restore({"x": np.empty(1000)})


def test_template_mismatch_names_the_leaf_and_both_shapes(tmp_path):
    Checkpoints(tmp_path).save(1, {"params": {"kernel": jnp.zeros((2, 3))}})
    with pytest.raises(ValueError, match=r"params/kernel is float32\[2, 3\] in the file and float32\[2, 4\] here"):
        Checkpoints(tmp_path).restore({"params": {"kernel": jnp.zeros((2, 4))}})
    with pytest.raises(ValueError, match=r"params/kernel is float32\[2, 3\] in the file and int32\[2, 3\] here"):
        Checkpoints(tmp_path).restore({"params": {"kernel": jnp.zeros((2, 3), jnp.int32)}})
    with pytest.raises(ValueError, match=r"params/bias is missing in the file and float32\[3\] here"):
        Checkpoints(tmp_path).restore({"params": {"bias": jnp.zeros(3), "kernel": jnp.zeros((2, 3))}})
    with pytest.raises(ValueError, match=r"params/kernel is float32\[2, 3\] in the file and missing here"):
        Checkpoints(tmp_path).restore({"params": {}})


def test_words_for_what_cannot_be_saved_or_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no checkpoint in {tmp_path}/none"):
        Checkpoints(tmp_path / "none").restore({"x": jnp.zeros(2)})
    with pytest.raises(ValueError, match="leaf a/name is a str: only arrays and numbers can be saved"):
        Checkpoints(tmp_path).save(0, {"a": {"name": "allegro"}})
    with pytest.raises(ValueError, match="leaf key is a typed key"):
        Checkpoints(tmp_path).save(0, {"key": jax.random.key(0)})
    with pytest.raises(ValueError, match="keep=0"):
        Checkpoints(tmp_path, keep=0)


def test_weights_come_back_with_their_config(tmp_path):
    tree = {
        "net": {"Dense_0": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": np.array([np.nan, -0.0])}},
        "pair": Pair(np.array(1, np.int64), np.zeros((0, 2), np.float32)),
        "list": [np.array([True, False])],
    }
    config = {"hand": "allegro", "widths": (64, 32), "rate": 0.1}
    save_weights(tmp_path / "artefact", config, tree)
    loaded_config, loaded = load_weights(tmp_path / "artefact")
    assert loaded_config == {"hand": "allegro", "widths": [64, 32], "rate": 0.1}
    restored = flax.serialization.from_state_dict(tree, loaded)
    assert_same_bits(restored, jax.tree.map(np.asarray, tree))
    assert sorted(path.name for path in (tmp_path / "artefact").iterdir()) == ["config.json", "weights.npz"]


def test_packed_weights_take_half_and_come_back_in_32_bits(tmp_path):
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(300, 200)).astype(np.float32), rng.normal(size=200).astype(np.float32)
    count = np.full(3, 1e6, np.float32)
    save_weights(tmp_path / "whole", {"a": 1}, {"net": {"kernel": kernel, "bias": bias}, "count": count})
    pack(tmp_path / "whole", tmp_path / "packed")
    config, tree = load_weights(tmp_path / "packed")
    assert config == {"a": 1} and tree["net"]["kernel"].dtype == np.float32
    np.testing.assert_allclose(tree["net"]["kernel"], kernel, rtol=2**-11, atol=1e-7)
    np.testing.assert_array_equal(tree["net"]["bias"], bias)
    np.testing.assert_array_equal(tree["count"], count)
    sizes = [(tmp_path / name / "weights.npz").stat().st_size for name in ("packed", "whole")]
    assert sizes[0] < 0.51 * sizes[1]
    pack(tmp_path / "packed", tmp_path / "again")  # nothing more is lost
    assert (tmp_path / "again" / "weights.npz").read_bytes() == (tmp_path / "packed" / "weights.npz").read_bytes()


@pytest.mark.parametrize("value, said", [(1e5, "100000"), (np.nan, "nan"), (np.inf, "inf")])
def test_weights_beyond_16_bits_are_not_packed(tmp_path, value, said):
    save_weights(tmp_path / "whole", {}, {"net": {"kernel": np.array([[1.0, value]], np.float32)}})
    with pytest.raises(ValueError, match=f"net/kernel has values up to {said}, and 16 bits hold at most 65504"):
        pack(tmp_path / "whole", tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_same_weights_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_weights(tmp_path / name, {}, {"x": np.arange(4.0)})
    assert (tmp_path / "a" / "weights.npz").read_bytes() == (tmp_path / "b" / "weights.npz").read_bytes()


def test_damaged_weights_are_refused_by_their_hash(tmp_path):
    save_weights(tmp_path, {}, {"x": np.arange(1000.0)})
    path = tmp_path / "weights.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=f"{path} is damaged or not complete: {len(whole) - 1} bytes"):
        load_weights(tmp_path)


def test_kill_between_the_two_files_is_noticed(tmp_path):
    save_weights(tmp_path, {"version": 1}, {"x": np.zeros(3)})
    old_config = (tmp_path / "config.json").read_text()
    save_weights(tmp_path, {"version": 2}, {"x": np.ones(3)})
    (tmp_path / "config.json").write_text(old_config)  # as if the second save had died before its last step
    with pytest.raises(ValueError, match="damaged or not complete"):
        load_weights(tmp_path)


def test_words_for_missing_foreign_or_unsuited_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no trained weights in {tmp_path}: config.json is missing"):
        load_weights(tmp_path)
    save_weights(tmp_path, {}, {"x": np.zeros(3)})
    header = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**header, "format": 99}))
    with pytest.raises(ValueError, match="has format 99, and this version reads format 2"):
        load_weights(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="config.json is damaged"):
        load_weights(tmp_path)
    with pytest.raises(ValueError, match="x is bfloat16, which an npz file cannot hold"):
        save_weights(tmp_path, {}, {"x": jnp.zeros(3, jnp.bfloat16)})
    with pytest.raises(ValueError, match="a/b cannot be named"):
        save_weights(tmp_path, {}, {"a/b": np.zeros(1)})


ODD_NAMES = [
    "sweep[lr=1]", "a[", "star*", "what?", "a b", "100%20", "frame%d", "a#b", "a:b", "~", "two\nlines", "quote'\"",
    "back\\slash", "größe", "-x", "$HOME", "{a,b}", "a/../b", "." * 9 + "x",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_whatever_the_folder_is_called_it_is_used_as_meant(name, tmp_path):
    folder = tmp_path / name / "checkpoints"
    for step in (1, 2, 3):
        Checkpoints(folder).save(step, {"x": jnp.full(1000, float(step)), "y": np.arange(3)})
    assert Checkpoints(folder).steps() == [2, 3]
    restored = Checkpoints(folder).restore({"x": jnp.zeros(1000), "y": np.zeros(3, int)})
    np.testing.assert_array_equal(restored["x"], 3.0)
    assert {path.name for path in (tmp_path / name).resolve().parents[0].iterdir()} <= {name.split("/")[-1], "a"}


def test_a_folder_whose_name_is_a_pattern_takes_nothing_from_those_it_matches(tmp_path):
    for name, value in (("run1", 1.0), ("run?", 2.0)):
        Checkpoints(tmp_path / name).save(0, {"x": np.full(1000, value)})
    for name, value in (("run1", 1.0), ("run?", 2.0)):
        np.testing.assert_array_equal(Checkpoints(tmp_path / name).restore({"x": np.empty(1000)})["x"], value)


def test_a_folder_that_cannot_be_used_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is not UTF-8 text: choose another"):
        Checkpoints(Path(os.fsdecode(bytes(tmp_path) + b"/\xff")))
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match=r"several processes cannot be in .*sweep\[1\]: choose a path without"):
        Checkpoints(tmp_path / "sweep[1]")
    Checkpoints(tmp_path / "sweep1")


@pytest.mark.parametrize("fault", ["lost", "changed"])
def test_a_checkpoint_that_does_not_read_back_costs_no_older_one(fault, tmp_path, monkeypatch):
    folder = Checkpoints(tmp_path, keep=1)
    values = np.random.default_rng(0).normal(size=1000)
    folder.save(1, {"x": values})

    def save_badly(path, leaves):
        save(path, {name: leaf + (fault == "changed") for name, leaf in leaves.items()})
        if fault == "lost":
            largest_file(path).unlink()

    save = checkpoints._checkpointer_save
    monkeypatch.setattr(checkpoints, "_checkpointer_save", save_badly)
    with pytest.raises(OSError, match="was written but .* older ones are kept"):
        folder.save(2, {"x": values + 1})
    assert folder.steps() == [1]
    np.testing.assert_array_equal(folder.restore({"x": np.empty(1000)})["x"], values)


@pytest.mark.parametrize("layout", ["big-endian", "fortran", "strided", "read-only"])
def test_arrays_of_any_layout_come_back_with_their_values(layout, tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    array = {
        "big-endian": values.astype(">f4"),
        "fortran": np.asfortranarray(values),
        "strided": np.repeat(values, 2, axis=1)[:, ::2],
        "read-only": np.broadcast_to(values[0], (6, 8)),
    }[layout]
    Checkpoints(tmp_path / "state").save(0, {"x": array})
    np.testing.assert_array_equal(Checkpoints(tmp_path / "state").restore({"x": array})["x"], array)
    save_weights(tmp_path / "weights", {}, {"x": array})
    np.testing.assert_array_equal(load_weights(tmp_path / "weights")[1]["x"], array)
