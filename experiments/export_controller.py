"""Exports a trained controller as one file for robots: StableHLO with weights and contract, and ONNX if asked for.

Reproduces: nothing of the paper, whose controller was never released: this is how ours leaves the lab.
Time: half a minute on 2 cores, with ONNX two minutes; most of it is the check that file and controller act alike.
Expected: largest_difference_rad under 1e-5 (StableHLO) and 1e-4 (ONNX), or it is refused; shipped controller 4.4 MB.
Command: python experiments/export_controller.py --config.run_dir=runs/demo --config.controller=run
"""

import hashlib
import importlib.util
from pathlib import Path

import artefacts
import launch
from ml_collections import ConfigDict

from dexgen_jax.controller.controller import Settings
from dexgen_jax.deploy import check, export
from dexgen_jax.run_log import RunLog

TOLERANCE = {"zip": 1e-5, "onnx": 1e-4}  # rad


def run(config: ConfigDict, log: RunLog) -> dict:
    """Writes the files and runs both them and the controller."""
    if config.onnx and not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        raise ValueError("ONNX needs packages that are not installed: pip install 'dexgen_jax[onnx]'")
    settings = Settings(config.candidates, config.eta, config.temperature, config.guided)
    controller = artefacts.controller(config, settings=settings)
    path = log.folder / "controller.zip"
    terms = export.write(controller, path)
    files = {"zip": describe(path, check.difference_of_zip(controller, path))}
    if config.onnx:
        from dexgen_jax.deploy import onnx_file

        path = log.folder / "controller.onnx"
        onnx_file.write(controller, path)
        onnx_file.write_joint_command(controller, log.folder / "command_joints.onnx")
        files["onnx"] = describe(path, check.difference_of_onnx(controller, path))
    for kind, file in files.items():
        if not (apart := file["largest_difference_rad"]) <= (allowed := TOLERANCE[kind]):
            raise ValueError(f"{file['file']} differs from the controller by {apart} rad, and {allowed} is allowed")
    return {**files, "hand": terms["hand"], "platforms": terms["platforms"]}


def describe(path: Path, difference: float) -> dict:
    """What a file is, for people to compare."""
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    return {"file": path, "bytes": len(data), "sha256": sha256, "largest_difference_rad": difference}


if __name__ == "__main__":
    launch.main(run, continues=False)
