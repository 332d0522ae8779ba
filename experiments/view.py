"""The simulated hand in the browser: shake the command, switch the help on and off, take over by the fingertips.

Reproduces: what DexterityGen (arXiv:2502.04307, section IV) is for: a foundation controller under any operator's hand.
Time: compiles first (under a minute on 2 free cores), then until Ctrl-C or `config.seconds`.
Expected: ten control steps a second; shaken, the object is kept longer with help than alone (figures: docs/viewer.md).
Command: python experiments/view.py --config=experiments/configs/view.py:laptop
"""

import sys
from urllib.parse import urlsplit

import artefacts
import launch
import stopping
import view_session
from ml_collections import ConfigDict
from token_file import read_token

from dexgen_jax.deploy.address import require_token
from dexgen_jax.run_log import RunLog
from dexgen_jax.viz import viewer
from dexgen_jax.viz.gate import Gate


def run(config: ConfigDict, log: RunLog) -> dict:
    """Serves the page until it is told to stop; the result is how well it kept its pace."""
    host, port, token = check(config)
    shelf = view_session.kept(config, artefacts.hand(config))
    session = view_session.build_session(config)
    # With a token the page itself listens on this machine alone, and the gate stands before it.
    page = viewer.Viewer(session, "127.0.0.1" if token else host, 0 if token else port, log.folder, shelf)
    gate = Gate(host, port, token, page.port) if token else None
    opened = f"{config.address}/?token=..." if token else page.address
    print(f"open {opened} in a browser; Ctrl-C stops", file=sys.stderr, flush=True)
    try:
        with stopping.asked(config.seconds) as stop:
            page.serve(stop)
    finally:
        page.close()
        if gate:
            gate.close()
    tallies = {kind: vars(tally) for kind, tally in session.account.tallies.items()}
    return {"address": opened, "steps": page.pace.steps, "late_share": page.pace.late_share, "tallies": tallies}


def check(config: ConfigDict) -> tuple[str, int, str | None]:
    """Host, port and token; raises for whatever would end the viewer after a minute of compiling."""
    viewer.require_viser()
    token = read_token(config)
    require_token(config.address, token, "http")
    parts = urlsplit(config.address)
    port = viewer.free_port(parts.hostname, 80 if parts.port is None else parts.port)
    return parts.hostname, port, token


if __name__ == "__main__":
    launch.main(run, continues=False)
