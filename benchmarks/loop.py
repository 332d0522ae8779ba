"""How well the control loop keeps its deadlines at 10 Hz and at 37 Hz, alone and with every other core kept busy.

Time: 3 minutes on 2 cores. Expected there: missed_share 0 at 10 Hz, and at 37 Hz where the loop has priority
(`--nice=-10`), loaded or not. Without it, and with other work on the machine, `load_before` says what it competes with.
Command: python benchmarks/loop.py [--seconds=20] [--size=shipped|paper] [--nice=-10]

The loop is `deploy/loop.py` with `Controller.act`, guidance on, and a robot that answers at once; 37 Hz is the paper's
rate on an RTX 4090. Load is one spinning process pinned to each core but the first. The last line is one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import jax
import numpy as np

from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.deploy import loop

RATES = (10.0, 37.0)  # Hz
SPIN = (
    "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.setpriority(os.PRIO_PROCESS, 0, 0)\nwhile 1: pass"
)


class Obedient:
    """A robot whose joints are where they were told to be."""

    def __init__(self, q: np.ndarray):
        """`q` (n,) [rad] is where it starts."""
        self.q = q

    def read_joints(self) -> np.ndarray:
        """The joints (n,) [rad]."""
        return self.q

    def set_targets(self, target: np.ndarray) -> None:
        """They follow at once."""
        self.q = target


def paper_size() -> Controller:
    """Untrained networks of the paper's size: they cost what trained ones cost."""
    model = Model()
    shape, joints = (model.history, windows.condition_size(model.hand)), model.hand.num_joints
    ones = np.ones(shape, np.float32)
    statistics = Normalizer(
        0 * ones, ones, np.full(model.horizon, 0.005, np.float32), 0 * ones[0, :joints], 0.05 * ones[0, :joints]
    )
    parameters = jax.jit(model.initial_parameters)(jax.random.PRNGKey(0))
    return Controller(model, Weights(**parameters, normalizer=statistics))


@contextmanager
def busy_cores():
    """Keeps every core but the first busy."""
    cores = sorted(os.sched_getaffinity(0))[1:]
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN, str(core)]) for core in cores]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def account(controller: Controller, rate: float, seconds: float) -> dict:
    """Runs the loop for `seconds` at `rate` [Hz]."""
    start = np.asarray(controller.model.hand.prior.joint_mean, np.float32)
    controller.reset(start)

    def decide(q: np.ndarray, target: np.ndarray) -> np.ndarray:
        return controller.act(q, target, start + 0.1 * np.sin(q))[0]

    for _ in range(20):
        decide(start, start)
    return loop.run(Obedient(start), decide, start, rate, round(seconds * rate)).summary()


def main() -> None:
    """Measures, prints lines as it goes, and one JSON object at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run of the loop")
    parser.add_argument("--size", choices=("shipped", "paper", "both"), default="both")
    parser.add_argument("--nice", type=int, default=0, help="the loop's priority; below 0 takes privileges; load has 0")
    options = parser.parse_args()
    os.setpriority(os.PRIO_PROCESS, 0, options.nice)  # before JAX starts its threads, which inherit it
    result = {
        "nice": options.nice,
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
    }
    makers = {"shipped": Controller.from_pretrained, "paper": paper_size}
    for size in makers if options.size == "both" else [options.size]:
        controller = makers[size]()
        for rate in RATES:
            name = f"{size}_{rate:g}hz"
            result[name] = account(controller, rate, options.seconds)
            with busy_cores():
                result[f"{name}_loaded"] = account(controller, rate, options.seconds)
            for key in (name, f"{name}_loaded"):
                run = result[key]
                print(key, f"missed {run['missed_share']:.4f}", "tick", run["tick"], "held", run["held"], flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
