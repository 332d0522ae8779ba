"""Runs an exported controller with jax and numpy alone: copy this file to the robot, nothing else of the project.

    controller = Exported("controller.zip")
    controller.reset(q)                                       # joint positions (n,) [rad] of a hand at rest
    target, told = controller.act(q, target, command=wanted)

`controller.contract` says joint names and order, units, limits, rates and modes.
"""

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

FORMAT, VERSION = "dexgen_jax controller", 4


class Exported:
    """A controller from a file; one hand. Everything is compiled when it is made, no call compiles later."""

    def __init__(self, path: str | Path, seed: int = 0, kinds: tuple[str, ...] = ("joints",)):
        """`seed` starts the sampler's randomness; `kinds` of commands will be given, some seconds to compile each.

        Raises ValueError if the file is damaged or of another format.
        """
        entries = read(path)
        self.contract: dict[str, Any] = json.loads(entries["contract.json"])
        with np.load(io.BytesIO(entries["weights.npz"]), allow_pickle=False) as arrays:
            self._weights = jax.device_put({name: arrays[name] for name in arrays.files})
        self._random = np.random.default_rng(seed)
        state, inputs, outputs = (_specs(self.contract[part]) for part in ("state", "inputs", "outputs"))
        self._tick = self._compile(entries, "tick", (self._weights, state, inputs), (outputs, state))
        command = {n.removeprefix("command_"): spec for n, spec in inputs.items() if n.startswith("command_")}
        asked = _specs(self.contract["commands"])
        for kind in kinds:
            _one_of(kind, "kind of command", list(asked))
        self._commands = {
            kind: self._compile(entries, f"command_{kind}", (inputs["q"], asked[kind]), command) for kind in kinds
        }
        self._state: dict[str, Any] | None = None

    def reset(self, q: np.ndarray, target: np.ndarray | None = None) -> None:
        """Forgets the past: `q` (n,) [rad] is where the hand is, `target` where it was told to be (default: there)."""
        joints, rows = self.contract["joints"], self.contract["history"]
        q, target = self._joints(q, "q"), self._joints(q if target is None else target, "target")
        for name, values in (("q", q), ("target", target)):
            self._require_plausible(values, name)
        safe = np.clip(target, joints["lower"], joints["upper"]).astype(np.float32)
        known = {"q": np.tile(q, (rows, 1)), "target": np.tile(target, (rows, 1)), "safe": safe}
        known |= {"doubt": np.float32(1)}
        nothing = {name: np.zeros(spec.shape, spec.dtype) for name, spec in _specs(self.contract["state"]).items()}
        self._state = nothing | known

    def act(
        self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None = None, kind: str = "joints", **options: Any
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """One control tick: returns the joint targets (n,) [rad] to set now, and diagnostics by name.

        `q` is the reading and `target` the joint targets in force, (n,) [rad]; `command` is of one `kind` of
        `contract["commands"]`. Options are what has a default in `contract["inputs"]`, such as `age`, `mode`,
        `strength` and `released`; where that names `choices`, by the name that the contract lists there. Wrong numbers
        are answered in the bits `events`; what is no number, or of another shape, or a name that does not exist, is a
        ValueError and changes nothing.
        """
        if self._state is None:
            raise RuntimeError("the controller has no history yet: call reset(q) before the first act")
        inputs = self._options(options)
        if command is None:
            inputs["strength"] = np.float32(0)
        q, target = self._joints(q, "q"), self._joints(target, "target")
        inputs |= {"q": q, "target": target, "key": self._random.integers(2**32, size=2, dtype=np.uint32)}
        inputs |= {f"command_{name}": part for name, part in self._command(target, command, kind).items()}
        outputs, self._state = self.tick(self._state, inputs)
        outputs = {name: np.array(value) for name, value in outputs.items()}  # the caller's, to write into
        return outputs.pop("action"), outputs

    def tick(self, state: dict[str, Any], inputs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The exported function itself: state and inputs -> outputs and new state, named and typed by the contract."""
        return self._tick(self._weights, state, inputs)

    def _options(self, said: dict[str, Any]) -> dict[str, Any]:
        """The inputs with a default: what was said of them, checked, else that."""
        known = {name: field for name, field in self.contract["inputs"].items() if "default" in field}
        if unknown := set(said) - set(known):
            raise ValueError(f"a tick has no option {min(unknown)!r}; there is {', '.join(known)}")
        inputs: dict[str, Any] = {
            name: np.full(field["shape"], field["default"], field["dtype"]) for name, field in known.items()
        }
        for name, value in said.items():
            if "choices" in known[name]:
                inputs[name] = np.int32(_one_of(value, name, self.contract[known[name]["choices"]]))
            elif known[name]["dtype"] == "bool":
                inputs[name] = _flag(value, name)
            else:
                inputs[name] = _floats(value, tuple(known[name]["shape"]), name)
        return inputs

    def _command(self, target: np.ndarray, command: np.ndarray | None, kind: str) -> dict[str, Any]:
        _one_of(kind, "kind of command", list(self.contract["commands"]))
        if command is None:
            count = len(self.contract["keypoints"]["names"])
            zero = np.zeros((count, 3), np.float32)
            return {"offsets": zero, "weight": zero[:, 0], "target": target}
        if kind not in self._commands:
            loaded = (*self._commands, kind)
            raise ValueError(
                f"this controller was loaded for commands of {', '.join(self._commands)}, got {kind!r}: make it with "
                f"Exported(path, kinds={loaded})"
            )
        shape = tuple(self.contract["commands"][kind]["shape"])
        return self._commands[kind](target, _floats(command, shape, f"a command of {kind}"))

    def _require_plausible(self, values: np.ndarray, name: str) -> None:
        joints, overshoot = self.contract["joints"], self.contract["limits"]["overshoot"]
        for joint, value, lower, upper in zip(joints["names"], values, joints["lower"], joints["upper"], strict=True):
            if not lower - overshoot < value < upper + overshoot:
                raise ValueError(
                    f"{name} of joint {joint} is {value:g} rad, and its limits are {lower:g} to {upper:g} rad (more "
                    f"than {overshoot:g} rad outside is a fault): check zero position, order and unit of the joints"
                )

    def _joints(self, values: np.ndarray, name: str) -> np.ndarray:
        joints, hand = self.contract["joints"]["names"], self.contract["hand"]
        return _floats(values, (len(joints),), f"{name} [rad] of the {hand} hand")

    def _compile(self, entries: dict[str, bytes], name: str, arguments: tuple, results: Any) -> Any:
        """Compiles one program of the file for this machine."""

        def alike(*_: Any) -> Any:
            return jax.tree.map(lambda result: jax.numpy.zeros(result.shape, result.dtype), results)

        # Another function of the same signature is exported here, and the file's program put in its place: so jax
        # itself fills in what it keeps beside a program, in the way of its own version.
        shell = jax.export.export(jax.jit(alike), platforms=self.contract["platforms"])(*arguments)
        calling = self.contract["programs"][name]
        program = dataclasses.replace(
            shell,
            mlir_module_serialized=entries[f"{name}.stablehlo"],
            **{key: tuple(value) if isinstance(value, list) else value for key, value in calling.items()},
        )
        return jax.jit(program.call).lower(*arguments).compile()


def read(path: str | Path) -> dict[str, bytes]:
    """Returns the entries of the file, their content checked against the hashes in the contract."""
    data = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # those of zipfile and of what it decompresses with have no common ancestor
        raise ValueError(f"{path} is damaged or no exported controller ({error}): copy or export it again") from error
    terms = json.loads(entries.get("contract.json", b"{}"))
    if (terms.get("format"), terms.get("version")) != (FORMAT, VERSION):
        found = f"{terms.get('format')!r} version {terms.get('version')}"
        raise ValueError(f"{path} holds {found}, and this reads {FORMAT!r} version {VERSION}")
    for name, digest in terms["sha256"].items():
        if hashlib.sha256(entries.get(name, b"")).hexdigest() != digest:
            raise ValueError(f"{path}: {name} is missing or not what was exported: copy or export it again")
    return entries


def _specs(fields: dict[str, dict]) -> dict[str, jax.ShapeDtypeStruct]:
    # Commands have no type of their own: all are float32.
    return {n: jax.ShapeDtypeStruct(tuple(f["shape"]), f.get("dtype", "float32")) for n, f in fields.items()}


def _one_of(name: str, what: str, choices: list[str]) -> int:
    if not isinstance(name, str) or name not in choices:
        raise ValueError(f"unknown {what} {name!r:.40}; there is {', '.join(choices)}")
    return choices.index(name)


def _floats(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """As `controller/numbers.py`, which this file does without: float32 of `shape`, whatever the numbers are."""
    array = np.ma.asarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    if array.dtype == object and all(map(_is_number, array.flat)):
        array = np.array([_float(item) for item in array.flat], np.float64).reshape(array.shape)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise ValueError(f"{name} must hold numbers, got {array.dtype.name}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {shape}, got {array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    return array.filled(np.nan) if isinstance(array, np.ma.MaskedArray) else array


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float | np.number) and not isinstance(item, bool)


def _float(item: Any) -> float:
    try:
        return float(item)
    except OverflowError:  # an int of Python's own has no largest
        return np.inf if item > 0 else -np.inf


def _flag(value: Any, name: str) -> np.bool_:
    if np.shape(value) != () or np.asarray(value).dtype != bool:
        raise ValueError(f"{name} must be true or false, got {value!r:.40}")
    return np.bool_(value)
