"""The contract: all that a robot's driver must know of a controller, as plain values for a JSON file.

Joint names in order, units, limits and rates; what a tick takes and gives, by name; what its numbers mean.
"""

import dataclasses
from typing import Any

import jax

import dexgen_jax
from dexgen_jax.controller.commands import KINDS
from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.safety import Event

FORMAT, VERSION = "dexgen_jax controller", 3  # 3: operators are weighed, and `doubt` is all that is remembered of them


@dataclasses.dataclass(frozen=True)
class Field:
    """One array that goes into a tick or comes out of it."""

    shape: tuple[int, ...]
    dtype: str
    meaning: str  # with its unit in brackets

    def spec(self) -> jax.ShapeDtypeStruct:
        """Shape and type, for tracing."""
        return jax.ShapeDtypeStruct(self.shape, self.dtype)


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
        "modes": list(model.modes),
        "commands": {
            name: {"shape": list(kind.shape(hand)), "unit": kind.unit, "measured_from": kind.measured_from}
            for name, kind in KINDS.items()
        },
        "listening": dataclasses.asdict(settings.listening),  # see `listening.ListeningConfig`
        "limits": dataclasses.asdict(settings.limits),  # rad, m, s, rad: see `safety.Limits`
        "sampler": {
            "steps": model.sampling_steps, "eta": settings.eta, "temperature": settings.temperature,
            "guided": settings.guided, "candidates": settings.candidates,
            "offset_std": controller.weights.normalizer.offset_std.tolist(),  # m; alpha = strength / (2 mean(std^2))
        },
        "events": {event.name: event.value for event in Event if event != Event.HELD},
        "held_if": int(Event.HELD),
        "state": plain(state_fields(controller)),
        "inputs": plain(input_fields(controller)),
        "outputs": plain(output_fields(controller)),
    }  # fmt: skip


def state_fields(controller: Controller) -> dict[str, Field]:
    """What a tick remembers; a reset fills the rows with the first reading, `doubt` with 1."""
    hand, history = controller.model.hand, controller.model.history
    joints = hand.num_joints
    return {
        "q": Field((history, joints), "float32", "the last joint positions, oldest first [rad]"),
        "target": Field((history, joints), "float32", "the joint targets in force at each of them [rad]"),
        "safe": Field((joints,), "float32", "the joint targets set last, within the limits [rad]"),
        "doubt": Field((), "float32", "variance of the operator's commands, in units of listening.action_std squared"),
    }


def command_fields(controller: Controller) -> dict[str, Field]:
    """The one form of all commands."""
    hand = controller.model.hand
    return {
        "offsets": Field((hand.num_keypoints, 3), "float32", "way that the keypoints are asked to go [m, palm frame]"),
        "weight": Field((hand.num_keypoints,), "float32", "how much each of them counts, 0 to 1"),
        "target": Field((hand.num_joints,), "float32", "the joint targets that do it directly [rad]"),
    }


def input_fields(controller: Controller) -> dict[str, Field]:
    """What a tick takes besides weights and state."""
    joints = (controller.model.hand.num_joints,)
    command = {f"command_{name}": field for name, field in command_fields(controller).items()}
    return {
        "q": Field(joints, "float32", "joint positions, just read [rad]"),
        "target": Field(joints, "float32", "joint targets in force [rad]"),
        "age": Field((), "float32", "age of the reading [s]"),
        **command,
        "mode": Field((), "int32", "place of the mode's name in `modes`"),
        "strength": Field((), "float32", "how much the command is heard: 0 not at all, 1 as far as it is believed"),
        "released": Field((), "bool", "off switch: the command's joint targets go straight through"),
        "key": Field((2,), "uint32", "random bits, fresh in every tick"),
    }


def output_fields(controller: Controller) -> dict[str, Field]:
    """What a tick gives besides its new state: the action first, then diagnostics."""
    model, number = controller.model, ()
    return {
        "action": Field((model.hand.num_joints,), "float32", "joint targets to set now [rad]"),
        "motion": Field(model.motion_shape, "float32", "keypoint offsets it wants, per step ahead [m, palm frame]"),
        "distance": Field(number, "float32", "root mean square distance of that from the command [m]"),
        "overruled": Field(number, "float32", "root mean square of action minus the command's joint targets [rad]"),
        "spread": Field(number, "float32", "root mean square deviation of the candidates [m]"),
        "alpha": Field(number, "float32", "how much the command was heard [1/m^2]"),
        "strength": Field(number, "float32", "the same as lambda"),
        "doubt": Field(number, "float32", "standard deviation that commands are believed to have, each joint [rad]"),
        "events": Field(number, "int32", "bits of `events`; the targets in force are held if `held_if` meets them"),
    }


def plain(fields: dict[str, Field]) -> dict[str, Any]:
    """Fields as JSON holds them."""
    return {name: {**dataclasses.asdict(field), "shape": list(field.shape)} for name, field in fields.items()}
