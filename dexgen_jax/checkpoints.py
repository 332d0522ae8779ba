"""The whole state of a run to disk and back, bit for bit, and small finished weights; half a file is never read.

A checkpoint is written into a hidden folder, read back, and renamed when it is complete: a kill at any moment leaves
the one before, which goes only after that. Each carries a manifest with the size and SHA-256 of every file and the
shape and dtype of every leaf: a file cut short or a template of another shape is refused by name.

Host only. With several hosts (`jax.distributed`), `save` and `restore` are called on all of them, on shared files.
"""

import contextlib
import glob
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from dexgen_jax import run_log

MANIFEST_FILE = "manifest.json"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.npz"
WEIGHTS_FORMAT = 2


class Checkpoints:
    """Numbered checkpoints of one pytree in one folder; the newest `keep` stay."""

    def __init__(self, folder: str | Path, keep: int = 2):
        """Nothing is created before the first `save`. `keep` >= 1; with 2, a damaged newest one is not the end.

        Raises ValueError for a folder in which nothing could be saved, so that nobody trains towards it.
        """
        if keep < 1:
            raise ValueError(f"keep={keep}: at least one checkpoint has to stay")
        self.folder, self.keep = Path(folder).absolute(), keep
        _refuse_unusable(self.folder)

    def steps(self) -> list[int]:
        """The steps that are there, rising; unfinished ones do not count."""
        return sorted(int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdigit())

    def latest_step(self) -> int | None:
        """The newest step, or None if nothing has been saved."""
        return max(self.steps(), default=None)

    def save(self, step: int, tree: Any) -> None:
        """Writes all array leaves of `tree` as checkpoint `step` (>= 0) and waits until it is safe on disk."""
        leaves = named_leaves(tree)
        part, final = self.folder / f".part-{step}", self.folder / str(step)
        if jax.process_index() == 0:
            for leftover in self.folder.glob(".part-*"):
                shutil.rmtree(leftover)
            part.mkdir(parents=True)
        _wait_for_all_hosts(f"checkpoint {step} begins")
        stored = {name: leaf for name, leaf in leaves.items() if np.size(leaf)}
        _checkpointer_save(part / "state", stored)
        _wait_for_all_hosts(f"checkpoint {step} is written")
        _read_back(part / "state", stored)
        if jax.process_index() == 0:
            manifest = {"step": step, "leaves": _describe(leaves), "files": _checksums(part)}
            run_log.atomic_write(part / MANIFEST_FILE, run_log.to_json(manifest, indent=1))
            self._discard(final)  # only when a step is saved twice
            os.rename(part, final)
            for old in self.steps()[: -self.keep]:
                self._discard(self.folder / str(old))
        _wait_for_all_hosts(f"checkpoint {step} is complete")

    def restore(self, template: Any) -> Any:
        """The newest checkpoint, in the structure of `template`.

        Template leaves are arrays or `jax.ShapeDtypeStruct`s. A NumPy or Python leaf comes back as one; any other as a
        `jax.Array` placed as the template says, or on the first device. Raises FileNotFoundError if there is no
        checkpoint, ValueError if the newest one is damaged or does not fit.
        """
        step = self.latest_step()
        if step is None:
            raise FileNotFoundError(f"no checkpoint in {self.folder}")
        manifest = self._verified_manifest(step)
        wanted = named_leaves(template)
        _refuse_mismatch(self.folder / str(step), _describe(wanted), manifest["leaves"])
        stored = {name: _abstract(leaf) for name, leaf in wanted.items() if np.size(leaf)}
        values = _checkpointer_restore(self.folder / str(step) / "state", stored)
        leaves = [_as_template(values.get(name), leaf) for name, leaf in wanted.items()]
        return jax.tree.unflatten(jax.tree.structure(template), leaves)

    def _verified_manifest(self, step: int) -> dict:
        folder = self.folder / str(step)
        try:
            manifest = json.loads((folder / MANIFEST_FILE).read_text())
            damage = _damage(folder, manifest["files"])
        except (OSError, ValueError, KeyError) as error:
            damage = f"{MANIFEST_FILE} cannot be read ({error})"
        if damage is None:
            return manifest
        before = [other for other in self.steps() if other < step]
        way_out = f"continue from step {before[-1]}" if before else "begin again"
        raise ValueError(f"checkpoint {folder} is damaged: {damage}; delete this folder to {way_out}")

    def _discard(self, folder: Path) -> None:
        if folder.exists():
            hidden = self.folder / f".part-old-{folder.name}"  # out of sight first: half-deleted is never read
            os.rename(folder, hidden)
            shutil.rmtree(hidden)


def save_weights(folder: str | Path, config: Mapping[str, Any], tree: Any) -> None:
    """Writes a finished artefact, `config.json` and `weights.npz`, to `folder`.

    `config` is what `load_weights` needs to give back for the tree to be used (JSON: tuples come back as lists). The
    leaves of `tree` become NumPy arrays named by their path, joined with '/'. The config is written last, with the hash
    of the weights: a kill in between leaves files that do not match, which `load_weights` refuses.
    """
    arrays = {name: np.asarray(leaf) for name, leaf in named_leaves(tree).items()}
    for name, array in arrays.items():
        if array.dtype.isbuiltin != 1:
            raise ValueError(f"{name} is {array.dtype}, which an npz file cannot hold: cast it to float32 first")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    weights = buffer.getvalue()
    header = {"format": WEIGHTS_FORMAT, "weights_sha256": hashlib.sha256(weights).hexdigest(), "config": config}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run_log.atomic_write(folder / WEIGHTS_FILE, weights)
    run_log.atomic_write(folder / CONFIG_FILE, run_log.to_json(header, indent=2) + "\n")


def load_weights(folder: str | Path) -> tuple[dict, dict]:
    """The config and the tree (nested dicts of NumPy arrays) that `save_weights` or `pack` wrote.

    Half precision is for files: what is stored in 16 bits comes back in 32.
    `flax.serialization.from_state_dict(template, tree)` turns the dicts back into dataclasses, tuples and lists.
    """
    folder = Path(folder)
    for path in (folder / CONFIG_FILE, folder / WEIGHTS_FILE):
        if not path.is_file():
            raise FileNotFoundError(
                f"no trained weights in {folder}: {path.name} is missing; train there, or name another folder"
            )
    try:
        header = json.loads((folder / CONFIG_FILE).read_text())
        written, expected, config = header["format"], header["weights_sha256"], header["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG_FILE} is damaged ({error}): copy it again, or train again") from error
    if written != WEIGHTS_FORMAT:
        raise ValueError(f"{folder / CONFIG_FILE} has format {written}, and this version reads format {WEIGHTS_FORMAT}")
    weights = (folder / WEIGHTS_FILE).read_bytes()
    actual = hashlib.sha256(weights).hexdigest()
    if actual != expected:
        raise ValueError(
            f"{folder / WEIGHTS_FILE} is damaged or not complete: {len(weights)} bytes with SHA-256 {actual[:12]}..., "
            f"where {CONFIG_FILE} says {expected[:12]}...; copy it again, or train again"
        )
    tree: dict = {}
    with np.load(io.BytesIO(weights), allow_pickle=False) as arrays:
        for name in arrays.files:
            *path, last = name.split("/")
            node = tree
            for key in path:
                node = node.setdefault(key, {})
            array = arrays[name]
            node[last] = array.astype(np.float32) if array.dtype == np.float16 else array
    return config, tree


def pack(source: str | Path, folder: str | Path) -> None:
    """Copies an artefact to ship it: the matrices of its networks (`kernel`) in 16 bits, so in half the bytes.

    Measure what is packed, not what it was packed from: its weights are rounded, to one part in two thousand. Raises
    ValueError that names a matrix with a value beyond 16 bits.
    """
    config, tree = load_weights(source)

    def half(path: tuple, array: np.ndarray) -> np.ndarray:
        if not jax.tree_util.keystr(path).endswith("['kernel']"):
            return array
        largest, limit = float(np.abs(array).max(initial=0.0)), float(np.finfo(np.float16).max)
        if not largest <= limit:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise ValueError(f"{name} has values up to {largest:g}, and 16 bits hold at most {limit:g}")
        return array.astype(np.float16)

    save_weights(folder, config, jax.tree_util.tree_map_with_path(half, tree))


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path, as in 'params/Dense_0/kernel', in the order of `jax.tree.leaves`."""
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        parts = [jax.tree_util.keystr((key,), simple=True) for key in path]
        name = "/".join(parts)
        if any("/" in part for part in parts) or name in leaves:
            raise ValueError(f"leaf {name} cannot be named: keys must be unique as text and hold no '/'")
        if not hasattr(leaf, "dtype") and not isinstance(leaf, bool | int | float):
            raise ValueError(f"leaf {name} is a {type(leaf).__name__}: only arrays and numbers can be saved")
        if hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise ValueError(f"leaf {name} is a typed key: save raw keys (jax.random.PRNGKey, or jax.random.key_data)")
        # In this machine's byte order: Orbax and npz files know no other.
        swapped = isinstance(leaf, np.ndarray | np.generic) and not leaf.dtype.isnative
        leaves[name] = leaf.astype(leaf.dtype.str[1:]) if swapped else leaf
    return leaves


def _describe(leaves: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"{_dtype(leaf)}{list(np.shape(leaf))}" for name, leaf in leaves.items()}


def _dtype(leaf: Any) -> np.dtype:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _refuse_mismatch(folder: Path, wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            there, here = found.get(name, "missing"), wanted.get(name, "missing")
            raise ValueError(
                f"checkpoint {folder} does not fit: {name} is {there} in the file and {here} here; "
                "it was written with another config"
            )


def _checksums(folder: Path) -> dict[str, list]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): [path.stat().st_size, _sha256(path)] for path in files}


def _damage(folder: Path, files: Mapping[str, list]) -> str | None:
    for name, (size, digest) in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes of {size}"
        if _sha256(path) != digest:
            return f"the content of {name} has changed"
    return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checkpointer_save(folder: Path, leaves: dict[str, Any]) -> None:
    import orbax.checkpoint  # a second to import, and those who only load weights never need it

    # Of arrays that lie on several devices Orbax would let each write a part, and compile how to cut them, for each.
    alone = jax.process_count() == 1
    arrays = {name: np.asarray(leaf) if alone or not hasattr(leaf, "dtype") else leaf for name, leaf in leaves.items()}
    with _plain_name(folder.parent) as parent, orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(parent / folder.name, arrays)
        checkpointer.wait_until_finished()


def _checkpointer_restore(folder: Path, template: dict[str, Any]) -> dict[str, Any]:
    import orbax.checkpoint

    with _plain_name(folder.parent) as parent, orbax.checkpoint.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(parent / folder.name, template)


def _misread(folder: Path) -> bool:
    """True for a name that Orbax takes for a pattern (*?[), or in which TensorStore takes a backslash for a slash."""
    return "\\" in str(folder) or glob.escape(str(folder)) != str(folder)


@contextlib.contextmanager
def _plain_name(folder: Path) -> Iterator[Path]:
    """`folder`, or a link to it where its own name would be misread."""
    if not _misread(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        link = Path(place) / "checkpoint"
        link.symlink_to(folder, target_is_directory=True)
        yield link


def _refuse_unusable(folder: Path) -> None:
    """What `save` would fail on at the end of a training is said at its beginning."""
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the folder {folder!a} is not UTF-8 text: choose another for checkpoints") from error
    if _misread(folder) and jax.process_count() > 1:
        raise ValueError(f"checkpoints of several processes cannot be in {folder}: choose a path without any of *?[\\")


def _read_back(folder: Path, leaves: Mapping[str, Any]) -> None:
    """Raises OSError unless `folder` gives back the leaves that were just written, bit for bit."""
    template = {name: np.empty(np.shape(leaf), _dtype(leaf)) for name, leaf in leaves.items()}
    try:
        stored = _checkpointer_restore(folder, template)
        changed = [name for name, leaf in leaves.items() if not _same_bits(stored[name], leaf)]
    except Exception as error:  # whatever a storage library raises, the checkpoint is not there
        reason = str(error)[:200]
        raise OSError(f"checkpoint {folder} was written but cannot be read ({reason}); older ones are kept") from error
    if changed:
        raise OSError(f"checkpoint {folder} was written but reads otherwise at {changed[0]}; older ones are kept")


def _same_bits(stored: Any, leaf: Any) -> bool:
    """True if the host's array `stored` equals `leaf`, or the parts of it that lie on this host's devices."""
    stored = np.asarray(stored)
    parts = [(s.index, s.data) for s in leaf.addressable_shards] if isinstance(leaf, jax.Array) else [((), leaf)]
    return all(np.array_equal(_bits(stored[index]), _bits(part)) for index, part in parts)


def _bits(array: Any) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct | np.ndarray:
    """What Orbax is asked for; a sharding is always named, or it takes the device the file was written from."""
    if isinstance(leaf, np.ndarray | np.generic | bool | int | float):
        return np.empty(np.shape(leaf), _dtype(leaf))  # stays on the host, with all of its 64 bits
    return jax.ShapeDtypeStruct(np.shape(leaf), _dtype(leaf), sharding=_sharding(leaf))


def _sharding(leaf: Any) -> jax.sharding.Sharding:
    return getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.devices()[0])


def _as_template(value: Any, leaf: Any) -> Any:
    if value is None:  # a leaf without elements, which is not stored
        value = np.zeros(np.shape(leaf), _dtype(leaf))
    if isinstance(leaf, bool | int | float):
        return type(leaf)(value)
    if isinstance(leaf, np.ndarray | np.generic):
        return np.asarray(value)
    return value if isinstance(value, jax.Array) else jax.device_put(value, _sharding(leaf))


def _wait_for_all_hosts(what: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)
