"""The contract: all that a robot's driver must know of a controller, as plain values for a JSON file.

Joint names in order, units, limits and rates; what a tick takes and gives, by name; what its numbers mean.
"""

import dataclasses
import functools
from typing import Any

import jax

import dexgen_jax
from dexgen_jax.controller import fields
from dexgen_jax.controller.commands import KINDS, Command
from dexgen_jax.controller.controller import Controller, Diagnostics, State
from dexgen_jax.controller.fields import Field
from dexgen_jax.controller.model import Model
from dexgen_jax.controller.safety import Event
from dexgen_jax.controller.tick_input import TickInput

FORMAT, VERSION = "dexgen_jax controller", 4  # 4: inputs say what counts if nothing is said
COMMAND = "command_"  # before the names of a command's parts, where they stand among other inputs


def describe(controller: Controller) -> dict[str, Any]:
    """Returns the contract of a controller with its settings."""
    model, hand, settings = controller.model, controller.model.hand, controller.settings
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_with": {"dexgen_jax": dexgen_jax.__version__, "jax": jax.__version__},
        "hand": hand.name,
        "joints": {
            "names": list(hand.joint_names), "unit": "rad", "lower": hand.lower.tolist(), "upper": hand.upper.tolist(),
            "kp": hand.kp.tolist(), "kd": hand.kd.tolist(), "torque_limit": hand.torque_limit.tolist(),
            "control": "position targets; torque [N m] = kp (target - q) - kd dq/dt within +-torque_limit",
        },
        "keypoints": {"names": list(hand.keypoint_names), "tips": hand.num_tips, "unit": "m", "frame": "palm"},
        "control_hz": model.control_hz,
        "history": model.history,
        "horizon": model.horizon,
        # See `listening.ListeningConfig`, and `Weights` for how far the networks' own action errs, in rad.
        "listening": {**dataclasses.asdict(settings.listening), "action_std": float(controller.weights.action_std)},
        "limits": dataclasses.asdict(settings.limits),  # rad, m, s, rad: see `safety.Limits`
        "sampler": {
            "steps": model.sampling_steps, "eta": settings.eta, "temperature": settings.temperature,
            "guided": settings.guided, "candidates": settings.candidates,
            "offset_std": controller.weights.normalizer.offset_std.tolist(),  # m; alpha = strength / (2 mean(std^2))
        },
        "events": {event.name: event.value for event in Event if event != Event.HELD},
        "held_if": int(Event.HELD),
        **describe_tick(model),
    }  # fmt: skip


def describe_tick(model: Model) -> dict[str, Any]:
    """The part that says what a tick is told and answers: all that messages are checked with."""
    return {
        "modes": list(model.modes),
        "commands": {
            name: {"shape": list(kind.shape(model.hand)), "unit": kind.unit, "measured_from": kind.measured_from}
            for name, kind in KINDS.items()
        },
        **{name: plain(part) for name, part in parts(model).items()},
    }


def parts(model: Model) -> dict[str, dict[str, Field]]:
    """State, inputs and outputs of a tick. A reset fills the state with the first reading, and its `doubt` with 1."""
    of = functools.partial(fields.of, sizes=fields.sizes(model))
    command = {COMMAND + name: field for name, field in of(Command).items()}
    action = Field((model.hand.num_joints,), "float32", "joint targets to set now [rad]")
    return {"state": of(State), "inputs": of(TickInput) | command, "outputs": {"action": action} | of(Diagnostics)}


def specs(fields: dict[str, Field]) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types, for tracing."""
    return {name: jax.ShapeDtypeStruct(field.shape, field.dtype) for name, field in fields.items()}


def plain(fields: dict[str, Field]) -> dict[str, Any]:
    """Fields as JSON holds them: without what is not said of them."""
    said = {name: dataclasses.asdict(field) | {"shape": list(field.shape)} for name, field in fields.items()}
    return {name: {key: value for key, value in one.items() if value is not None} for name, one in said.items()}
