"""Serves a trained controller: robots send joint readings and commands, and get safe joint targets back.

Reproduces: the deployment of DexterityGen (arXiv:2502.04307, sections III-D and IV): guided sampling at 10 Hz while an
outside command steers; the paper has 27 ms a sample on an RTX 4090.
Time: 10 s to compile, then until Ctrl-C or `config.seconds`.
Expected: an answer of the shipped controller within 5 ms (p50, 2 cores with other work on them); the last line says.
Command: python experiments/serve.py --config=experiments/configs/serve.py:laptop
"""

import sys

import artefacts
import launch
import stopping
from ml_collections import ConfigDict
from token_file import read_token

from dexgen_jax.deploy import contract
from dexgen_jax.deploy.server import Server
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Answers until it is told to stop; the result is what the robots had to wait."""
    controller = artefacts.controller(config, config.seed)
    hand = controller.model.hand
    print("compiling the controller ...", file=sys.stderr)
    controller.reset(hand.prior.joint_mean)
    server = Server(
        contract.describe(controller), controller.twin, config.address, read_token(config), config.max_clients
    )
    print(f"serving the {hand.name} controller on {server.address}; Ctrl-C stops", file=sys.stderr, flush=True)
    try:
        with stopping.asked(config.seconds) as stop:
            server.serve(stop)
    finally:
        server.close()
    return {"address": server.address, **server.statistics()}


if __name__ == "__main__":
    launch.main(run, continues=False)
