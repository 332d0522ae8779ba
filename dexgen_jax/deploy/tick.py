"""The tick as a function of named arrays only: what is exported, in whatever format.

Containers of this package would have to be known where the file is read; dicts of arrays are known everywhere.
"""

from collections.abc import Callable
from typing import Any

import jax

from dexgen_jax import checkpoints
from dexgen_jax.controller import controller as control
from dexgen_jax.controller.commands import KINDS, Command
from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.tick_input import TickInput
from dexgen_jax.deploy.contract import COMMAND

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
        action, after, diagnostics = control.act(model, tree, control.State(**state), from_arrays(inputs), settings)
        return {"action": action, **vars(diagnostics)}, vars(after)

    return tick


def from_arrays(inputs: Arrays) -> TickInput:
    """Returns the inputs of a tick that are named as in the contract; command_... are the parts of one command."""
    command = {name: value for name, value in inputs.items() if name.startswith(COMMAND)}
    others = {name: value for name, value in inputs.items() if name not in command}
    command = Command(**{name.removeprefix(COMMAND): value for name, value in command.items()})
    return TickInput(command=command, **others)


def command_function(controller: Controller, kind: str) -> Callable[[jax.Array, jax.Array], Arrays]:
    """Returns f(target (n,) [rad], command of this kind) -> the one form of all commands, named as in `contract.py`."""
    hand, make = controller.model.hand, KINDS[kind].make

    def command(target: jax.Array, asked: jax.Array) -> dict[str, Any]:
        return vars(make(hand, target, asked))

    return command
