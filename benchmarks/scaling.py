"""Scaling on paper: what it costs to record 1e8, 1e9 and 1e10 transitions, and to learn from up to 1.5e11 samples.

Time: seconds; it measures nothing itself.
Expected: a table, and one JSON object on the last line.
Command: python benchmarks/dataset.py > runs/dataset.txt
         python benchmarks/training.py > runs/training.txt
         python benchmarks/scaling.py [--dataset=runs/dataset.txt] [--training=runs/training.txt]

The last lines of both files count, and this machine's cores are taken for those they were measured on. A row is either
a measured rate times the number, or extrapolated, and says so: recording grows with the cores, for its environments
share nothing, and a GPU reaches the share of its peak that a step reaches of bare products here. Nobody has measured
either; the paper's training took 96 GPUs for 3 days, 6,912 hours.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import jax
import numpy as np

from dexgen_jax.controller.model import Model

TRANSITIONS = (1e8, 1e9, 1e10)
SAMPLES_PER_TRANSITION = 15  # 1.5e11 samples of 1e10 transitions (arXiv:2502.04307)
CORES = 512  # eight hosts of 64
# Dense float32 of an H100 SXM, without TF32: 67e12 a second by its data sheet.
GPU_PEAK = 67e12
DAYS = 3  # that the paper's training took, on 96 GPUs


def products_of_a_sample(model: Model) -> float:
    """Floating-point operations of the matrix products for one sample: forth once, back twice, two for each weight."""
    parameters = jax.eval_shape(model.initial_parameters, jax.random.PRNGKey(0))
    named = jax.tree_util.tree_leaves_with_path(parameters)
    return 6.0 * sum(int(np.prod(leaf.shape)) for path, leaf in named if "kernel" in str(path))


def costs(transitions: float, dataset: dict[str, float], training: dict[str, float]) -> dict[str, float]:
    """Hours, bytes and GPUs for so many transitions, each seen so often as in the paper."""
    samples = SAMPLES_PER_TRANSITION * transitions
    recording, cores = transitions / dataset["transitions_per_second"] / 3600, os.cpu_count() or 1
    gpu = GPU_PEAK * training["share_of_matmul_paper"] / products_of_a_sample(Model())  # samples a second
    return {
        "transitions": transitions,
        "samples": samples,
        "hours_to_record_here": recording,
        f"hours_to_record_on_{CORES}_cores_extrapolated": recording * cores / CORES,
        "gigabytes": transitions * dataset["bytes_per_transition_with_privileged"] / 1e9,
        "hours_to_train_small_here": samples / training["samples_per_second_small"] / 3600,
        "hours_to_train_paper_here": samples / training["samples_per_second_paper"] / 3600,
        "gpu_hours_to_train_paper_extrapolated": samples / gpu / 3600,
        "gpus_for_three_days_extrapolated": samples / gpu / (DAYS * 86400),
    }


def last_object(path: Path) -> dict[str, float]:
    """The JSON object on the last line of what a benchmark printed."""
    return json.loads(path.read_text().strip().splitlines()[-1])


def main() -> None:
    """Reads the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("runs/dataset.txt"))
    parser.add_argument("--training", type=Path, default=Path("runs/training.txt"))
    args = parser.parse_args()
    for name, path in vars(args).items():
        if not path.is_file():
            sys.exit(f"error: {path} is missing: python benchmarks/{name}.py > {path}")
    table = [costs(count, last_object(args.dataset), last_object(args.training)) for count in TRANSITIONS]
    for name in table[0]:
        print("| " + " | ".join([name.replace("_", " "), *(f"{row[name]:,.3g}" for row in table)]) + " |")
    print(json.dumps({"flop_of_a_sample": products_of_a_sample(Model()), "rows": table}))


if __name__ == "__main__":
    main()
