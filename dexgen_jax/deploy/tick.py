"""The tick as a function of named arrays only: what is exported, in whatever format.

Containers of this package would have to be known where the file is read; dicts of arrays are known everywhere.
"""

from collections.abc import Callable
from typing import Any

import jax

from dexgen_jax import checkpoints
from dexgen_jax.controller import controller as control
from dexgen_jax.controller import guidance
from dexgen_jax.controller.commands import KINDS, Command
from dexgen_jax.controller.controller import Controller

Arrays = dict[str, jax.Array]


def weight_arrays(controller: Controller) -> Arrays:
    """All numbers of the controller by their path, normaliser included."""
    return checkpoints.named_leaves(controller.weights)


def tick_function(controller: Controller) -> Callable[[Arrays, Arrays, Arrays], tuple[Arrays, Arrays]]:
    """Returns f(weights, state, inputs) -> (outputs, state), dicts named as in `contract.py`."""
    model, settings = controller.model, controller.settings
    names, structure = list(weight_arrays(controller)), jax.tree.structure(controller.weights)

    def tick(weights: Arrays, state: Arrays, inputs: Arrays) -> tuple[Arrays, Arrays]:
        tree = jax.tree.unflatten(structure, [weights[name] for name in names])
        command = Command(*(inputs[f"command_{part}"] for part in ("offsets", "weight", "target")))
        action, after, diagnostics = control.act(
            model, tree, control.State(**state), inputs["q"], inputs["target"], command, inputs["mode"],
            guidance.alpha_of(inputs["strength"], tree.normalizer.offset_std), inputs["key"], inputs["age"],
            inputs["released"], settings,
        )  # fmt: skip
        return {"action": action, **vars(diagnostics)}, vars(after)

    return tick


def command_function(controller: Controller, kind: str) -> Callable[[jax.Array, jax.Array], Arrays]:
    """Returns f(target (n,) [rad], command of this kind) -> the one form of all commands, named as in `contract.py`."""
    hand, make = controller.model.hand, KINDS[kind].make

    def command(target: jax.Array, asked: jax.Array) -> dict[str, Any]:
        return vars(make(hand, target, asked))

    return command
