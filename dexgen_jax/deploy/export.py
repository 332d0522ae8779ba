"""Writes a controller as one file that runs with jax and numpy alone, on CPU, NVIDIA GPU or TPU.

The file is a zip: `contract.json` (see `contract.py`, with the SHA-256 of every other entry), `weights.npz`,
`tick.stablehlo` and one `command_<kind>.stablehlo` for each kind of command. The same controller gives the same bytes.
The programs are portable StableHLO and not `Exported.serialize()`, which takes flatbuffers to read; `exported.py` does.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from dexgen_jax.controller.commands import KINDS
from dexgen_jax.controller.controller import Controller
from dexgen_jax.deploy import contract, tick
from dexgen_jax.run_log import atomic_write, to_json

PLATFORMS = ("cpu", "cuda", "tpu")
CONTRACT = "contract.json"


def write(controller: Controller, path: str | Path) -> dict[str, Any]:
    """Exports `controller`, its settings built in, to `path` (.zip); returns the contract."""
    path = Path(path)
    if path.suffix != ".zip":
        raise ValueError(f"an exported controller is a .zip file, got {path.name!r}")
    programs = {name: _export(function, *specs) for name, (function, specs) in _functions(controller).items()}
    entries = {f"{name}.stablehlo": bytes(program.mlir_module_serialized) for name, program in programs.items()}
    entries |= {"weights.npz": _npz(tick.weight_arrays(controller))}
    terms = contract.describe(controller) | {
        "platforms": list(PLATFORMS),
        "programs": {name: _calling(program) for name, program in programs.items()},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in entries.items()},
    }
    atomic_write(path, _zip({CONTRACT: to_json(terms, indent=1).encode(), **entries}))
    return terms


def _functions(controller: Controller) -> dict[str, tuple[Callable, list]]:
    """All functions with what their arguments are like, by name."""
    hand, parts = controller.model.hand, contract.parts(controller.model)
    weights = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tick.weight_arrays(controller))
    arrays = contract.specs(parts["state"]), contract.specs(parts["inputs"])
    functions: dict[str, tuple[Callable, list]] = {"tick": (tick.tick_function(controller), [weights, *arrays])}
    target = jax.ShapeDtypeStruct((hand.num_joints,), np.float32)
    for name, kind in KINDS.items():
        asked = jax.ShapeDtypeStruct(kind.shape(hand), np.float32)
        functions[f"command_{name}"] = tick.command_function(controller, name), [target, asked]
    return functions


def _export(function: Callable, *specs: Any) -> jax.export.Exported:
    """Lowers without the Python lines that asked for each operation: they hold paths of this machine."""
    before = jax.config.jax_traceback_in_locations_limit
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        return jax.export.export(jax.jit(function), platforms=PLATFORMS)(*specs)
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)


def _calling(program: jax.export.Exported) -> dict[str, Any]:
    """How a program's StableHLO is called, see `jax.export.Exported`: which of the flat arguments it kept."""
    return {
        "calling_convention_version": program.calling_convention_version,
        "module_kept_var_idx": list(program.module_kept_var_idx),
        "uses_global_constants": program.uses_global_constants,
    }


def _npz(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **jax.device_get(arrays))
    return file.getvalue()


def _zip(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # without today's date
    return file.getvalue()
