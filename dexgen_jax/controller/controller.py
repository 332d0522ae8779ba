"""The controller: joint readings and a command in, safe joint targets out.

`act` is a pure function of one hand, to be vmapped over environments and jitted by the caller. `Controller` is the thin
thing around it that remembers history and key, and lives in a folder.
"""

import functools
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dexgen_jax import checkpoints
from dexgen_jax.controller import guidance
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.sampler import sample_motion
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.hand import kinematics
from dexgen_jax.hand.description import Hand

SHIPPED = Path(__file__).parents[1] / "pretrained" / "controller"


@struct.dataclass
class History:
    """The last H readings of one hand, oldest first."""

    q: jax.Array  # (H, n) rad
    target: jax.Array  # (H, n) rad

    def push(self, q: jax.Array, target: jax.Array) -> "History":
        """Forgets the oldest reading and adds one, (n,) [rad] each."""
        return History(jnp.concatenate([self.q[1:], q[None]]), jnp.concatenate([self.target[1:], target[None]]))


@struct.dataclass
class Diagnostics:
    """What the controller meant by its action."""

    motion: jax.Array  # (T, K, 3) m, palm frame: the keypoint offsets it wants
    distance: jax.Array  # () m, root mean square distance of the motion's keypoints from the command's


def reset(model: Model, q: jax.Array, target: jax.Array) -> History:
    """Fills the history with one reading, (n,) [rad] each, so that the first actions see a hand at rest."""
    chex.assert_shape([q, target], (model.hand.num_joints,))
    return History(*(jnp.tile(reading, (model.history, 1)) for reading in (q, target)))


def act(
    model: Model, weights: Weights, state: History, q: jax.Array, target: jax.Array, command: jax.Array,
    mode: jax.Array, alpha: jax.Array, key: jax.Array,
) -> tuple[jax.Array, History, Diagnostics]:  # fmt: skip
    """One control tick of one hand: returns the joint target (n,) [rad] to set now, within the joint limits.

    `q` is the reading and `target` the joint target in force, (n,) [rad]; `command` (K, 3) [m, palm frame] the keypoint
    offsets asked for; `alpha` () [1/m^2] how much it is listened to: 0 is the prior alone. Only `model` is static.
    """
    hand, normalizer = model.hand, weights.normalizer
    state = state.push(q, target)
    condition = normalizer.encode_condition(windows.condition(hand, state.q, state.target))

    def guide(clean: jax.Array, variance: jax.Array) -> jax.Array:
        return guidance.pull(guidance.toward(command), normalizer.decode_offsets, clean, alpha, variance)

    sampled = sample_motion(model, weights, condition, mode, key, guide)
    wanted = model.inverse_dynamics.apply(weights.inverse_dynamics, condition, sampled)
    action = jnp.clip(q + normalizer.decode_action(wanted.mean), hand.lower, hand.upper)
    motion = normalizer.decode_offsets(sampled)
    apart = jnp.sum((motion - command[None]) ** 2, axis=-1)
    return action, state, Diagnostics(motion, jnp.sqrt(jnp.mean(apart)))


def command_offsets(hand: Hand, q: jax.Array, q_command: jax.Array) -> jax.Array:
    """Returns the command (K, 3) [m, palm frame] that asks for the joint positions `q_command` (n,) [rad] from `q`."""
    return kinematics.keypoints(hand, q_command) - kinematics.keypoints(hand, q)


class Controller:
    """A trained controller of one hand; `model` and `weights` serve those who call `act` themselves."""

    def __init__(self, model: Model, weights: Weights, seed: int = 0):
        """`seed` starts the sampler's randomness."""
        self.model, self.weights = model, jax.device_put(weights)
        self.history: History | None = None
        self._key = jax.random.PRNGKey(seed)
        self._act = jax.jit(functools.partial(act, model))

    @classmethod
    def from_pretrained(cls, folder: str | Path = SHIPPED, seed: int = 0) -> "Controller":
        """Loads a controller that `save` wrote; without a folder, the one that comes with the package."""
        config, tree = checkpoints.load_weights(folder)
        weights = Weights(tree["denoiser"], tree["inverse_dynamics"], Normalizer(**tree["normalizer"]))
        return cls(Model.from_dict(config["model"]), weights, seed)

    def save(self, folder: str | Path, made: dict[str, Any] | None = None) -> None:
        """Writes sizes, weights and normaliser; `made` says how it was trained and on what."""
        checkpoints.save_weights(folder, {"model": self.model.to_dict(), "made": made or {}}, self.weights)

    def reset(self, q: np.ndarray, target: np.ndarray | None = None) -> None:
        """Forgets the past: `q` (n,) [rad] is where the hand is, `target` where it was told to be (default: there)."""
        self.history = reset(self.model, *self._readings(q, q if target is None else target))

    def act(
        self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None = None, mode: str = "default",
        alpha: float = 0.0,
    ) -> tuple[np.ndarray, Diagnostics]:  # fmt: skip
        """One control tick, see the function `act`; without a `command` the prior moves the hand."""
        if self.history is None:
            raise RuntimeError("the controller has no history yet: call reset(q) before the first act")
        shape = self.model.motion_shape[1:]
        if command is None:
            command, alpha = np.zeros(shape), 0.0
        if np.shape(command) != shape:
            raise ValueError(f"a command is {shape} keypoint offsets [m], got shape {np.shape(command)}")
        if not alpha >= 0:
            raise ValueError(f"alpha must be zero or more, got {alpha}")
        self._key, key = jax.random.split(self._key)
        action, self.history, diagnostics = self._act(
            self.weights, self.history, *self._readings(q, target), np.asarray(command, np.float32),
            np.int32(self.model.mode_index(mode)), np.float32(alpha), key,
        )  # fmt: skip
        return np.asarray(action), diagnostics

    def _readings(self, *readings: np.ndarray) -> list[np.ndarray]:
        n = self.model.hand.num_joints
        for reading in readings:
            if np.shape(reading) != (n,):
                raise ValueError(f"the {self.model.hand_name} hand has {n} joints, got shape {np.shape(reading)}")
        return [np.asarray(reading, np.float32) for reading in readings]
