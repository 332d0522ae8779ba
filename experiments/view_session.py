"""What the viewer shows: the session that a config describes, and what of earlier runs can be shown again."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import artefacts
import evaluation_files as files
import jax
import numpy as np
from ml_collections import ConfigDict

from dexgen_jax import pretrained
from dexgen_jax.dataset import store
from dexgen_jax.evaluation import operators
from dexgen_jax.hand import registry
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import catalog
from dexgen_jax.viz import clips
from dexgen_jax.viz.clips import Shelf
from dexgen_jax.viz.session import DEVICE, Helper, Session, Track
from dexgen_jax.viz.simulation import Simulation


def kept(config: ConfigDict, hand: Hand) -> Shelf:
    """What can be shown again, by name: the trajectories of a dataset, and the rows of an evaluation."""
    shelf = {}
    if config.dataset != "none":
        dataset = store.open_dataset(artefacts.folder(config, "dataset"), hand)
        shelf["dataset"] = lambda stream: clips.trajectory(hand, dataset, stream)
    if config.evaluation != "none":
        if not (rows := files.read_rows(folder := Path(config.evaluation))):
            raise FileNotFoundError(
                f"no rows.jsonl in {folder}: name the folder of an evaluation, as runs/demo/evaluation"
            )
        for case, row in rows.items():
            registry.refuse_other(f"the evaluation in {folder}", row.get("hand", pretrained.FIRST_HAND), hand.name)
            name, helper, strength = case
            shown = lambda number, case=case: clips.evaluated(hand, files.load_trace(folder, case), number)
            shelf[f"{name}, {helper if strength is None else f'helped, strength {strength:g}'}"] = shown
    return shelf


def build_session(config: ConfigDict, helper: Helper | None = None, device: Track | None = None) -> Session:
    """The session that the config describes, compiled; helped by its controller, or by `helper`."""
    print("compiling the simulation and the controller ...", file=sys.stderr)
    helper = helper or artefacts.controller(config, config.seed)
    grasps = artefacts.folder(config, "grasps")
    known = (name for name in (*catalog.TRAIN, *catalog.HELD_OUT) if (grasps / f"{name}.npz").exists())
    objects = tuple(dict.fromkeys((*catalog.names(config.objects), *known)))
    world = Simulation(artefacts.expert(config), grasps, objects, config.env.to_dict(), config.engine, config.threads)
    named = {name: spoiled(name, world.hand) for name in config.operators}
    session = Session(world, helper, named, config.seed, device)
    session.wish(operator=DEVICE if device else config.operators[0])
    session.wish(wrist=config.wrist, help=config.help, strength=config.strength)
    session.tick()
    return session


def spoiled(name: str, hand: Hand) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """An operator of the evaluation on the host: the expert's action, and where chance comes from -> its action."""
    operator = operators.parse(name, hand)
    memory = operator.reset(hand)

    def spoil(wanted: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        nonlocal memory
        action, memory = _act(hand, operator, memory, wanted, chance.integers(2**31))
        return np.asarray(action)

    return spoil


@functools.partial(jax.jit, static_argnums=0)
def _act(hand: Hand, operator: Any, memory: Any, wanted: jax.Array, seed: jax.Array) -> Any:
    """One program for all operators."""
    return operator.act(hand, memory, wanted, jax.random.PRNGKey(seed))
