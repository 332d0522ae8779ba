"""Serves a trained controller: robots send joint readings and commands, and get safe joint targets back.

Reproduces: the deployment of DexterityGen (arXiv:2502.04307, sections III-D and IV): guided sampling at 10 Hz while an
outside command steers; the paper has 27 ms a sample on an RTX 4090.
Time: 10 s to compile, then until Ctrl-C or `config.seconds`.
Expected: an answer of the shipped controller within 5 ms (p50, 2 cores with other work on them); the last line says.
Command: python experiments/serve.py --config=experiments/configs/serve.py:laptop
"""

import copy
import signal
import sys
import threading
import time
from pathlib import Path

import artefacts
import launch
from ml_collections import ConfigDict

from dexgen_jax.deploy import contract
from dexgen_jax.deploy.server import Server
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Answers until it is told to stop; the result is what the robots had to wait."""
    controller = artefacts.controller(config, config.seed)
    hand = controller.model.hand
    print("compiling the controller ...", file=sys.stderr)
    controller.reset(hand.prior.joint_mean)
    # A copy shares the compiled programs and weights, and has a memory of its own.
    server = Server(
        contract.describe(controller), lambda: copy.copy(controller), config.address, read_token(config),
        config.max_clients,
    )  # fmt: skip
    stopped = threading.Event()
    before = {s: signal.signal(s, lambda *_: stopped.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    print(f"serving the {hand.name} controller on {server.address}; Ctrl-C stops", file=sys.stderr, flush=True)
    end = time.monotonic() + (config.seconds or float("inf"))
    try:
        server.serve(lambda: stopped.is_set() or time.monotonic() > end)
    finally:
        server.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    return {"address": server.address, **server.statistics()}


def read_token(config: ConfigDict) -> str | None:
    """The secret that clients must know. From a file: a command line is seen by everybody on the machine."""
    if not config.token_file:
        return None
    path = Path(config.token_file)
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others: chmod 600 {path}")
    return path.read_text().strip()


if __name__ == "__main__":
    launch.main(run, continues=False)
