"""The simulated hand in the browser: shake the command, switch the help on and off, take over by the fingertips.

Reproduces: what DexterityGen (arXiv:2502.04307, section IV) is for: a foundation controller under any operator's hand.
Time: compiles first (not timed on a machine of its own yet), then until Ctrl-C or `config.seconds`.
Expected: ten control steps a second; shaken, the object is kept longer with help than alone (figures: docs/viewer.md).
Command: python experiments/view.py --config=experiments/configs/view.py:laptop
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import artefacts
import evaluation_files as files
import jax
import launch
import numpy as np
import stopping
from ml_collections import ConfigDict
from token_file import read_token

from dexgen_jax.dataset import store
from dexgen_jax.deploy.address import require_token
from dexgen_jax.evaluation import operators
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import catalog
from dexgen_jax.run_log import RunLog
from dexgen_jax.viz import clips, viewer
from dexgen_jax.viz.clips import Shelf
from dexgen_jax.viz.gate import Gate
from dexgen_jax.viz.session import Session
from dexgen_jax.viz.simulation import Simulation


def run(config: ConfigDict, log: RunLog) -> dict:
    """Serves the page until it is told to stop; the result is how well it kept its pace."""
    host, port, token = check(config)
    shelf = kept(config, artefacts.hand(config))
    session = build_session(config)
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


def kept(config: ConfigDict, hand: Hand) -> Shelf:
    """What can be shown again, by name: the trajectories of a dataset, and the rows of an evaluation."""
    shelf = {}
    if config.dataset != "none":
        dataset = store.open_dataset(artefacts.folder(config, "dataset"), hand)
        shelf["dataset"] = lambda stream: clips.trajectory(hand, dataset, stream)
    if config.evaluation != "none":
        for case in files.read_rows(folder := Path(config.evaluation)):
            name, helper, strength = case
            shown = lambda number, case=case: clips.evaluated(hand, files.load_trace(folder, case), number)
            shelf[f"{name}, {helper if strength is None else f'helped, strength {strength:g}'}"] = shown
    return shelf


def build_session(config: ConfigDict) -> Session:
    """The session that the config describes, compiled."""
    print("compiling the simulation and the controller ...", file=sys.stderr)
    controller = artefacts.controller(config, config.seed)
    grasps = artefacts.folder(config, "grasps")
    known = (name for name in (*catalog.TRAIN, *catalog.HELD_OUT) if (grasps / f"{name}.npz").exists())
    objects = tuple(dict.fromkeys((*catalog.names(config.objects), *known)))
    world = Simulation(artefacts.expert(config), grasps, objects, config.env.to_dict(), config.engine, config.threads)
    named = {name: spoiled(name, world.hand.num_joints) for name in config.operators}
    session = Session(world, controller, named, config.seed)
    session.wish(operator=config.operators[0], wrist=config.wrist, help=config.help, strength=config.strength)
    session.tick()
    return session


def spoiled(name: str, joints: int) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """An operator of the evaluation on the host: the expert's action, and where chance comes from -> its action."""
    operator = operators.parse(name)
    memory = operator.reset(joints)

    def spoil(wanted: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        nonlocal memory
        action, memory = _act(operator, memory, wanted, chance.integers(2**31))
        return np.asarray(action)

    return spoil


@jax.jit
def _act(operator: Any, memory: Any, wanted: jax.Array, seed: jax.Array) -> Any:
    """One program for all operators."""
    return operator.act(memory, wanted, jax.random.PRNGKey(seed))


if __name__ == "__main__":
    launch.main(run, continues=False)
