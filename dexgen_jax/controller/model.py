"""What a controller is made of: its sizes (`Model`, static) and its numbers (`Weights`, on the device)."""

import dataclasses
from typing import Any, ClassVar

import jax
import numpy as np
from flax import struct

from dexgen_jax.controller import diffusion
from dexgen_jax.controller.inverse_dynamics import InverseDynamics
from dexgen_jax.controller.numbers import place
from dexgen_jax.controller.unet import Denoiser
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.hand import registry
from dexgen_jax.hand.description import Hand

MODES = ("default", "precision_rotation", "free_motion")


@struct.dataclass
class Weights:
    """All the numbers of a trained controller."""

    denoiser: Any  # parameters of `Model.denoiser`
    inverse_dynamics: Any  # parameters of `Model.inverse_dynamics`
    normalizer: Normalizer
    # (), rad: how far the action of a drawn motion is from the recorded one, rms over all joints. It is measured on
    # streams that were not learned from (`training.held_out_metrics`); the default is that of the first one shipped.
    action_std: jax.Array = np.float32(0.038)


@dataclasses.dataclass(frozen=True)
class Model:
    """Sizes of a controller: hashable, a static argument of every jitted function; saved beside the weights."""

    hand_name: str = "allegro"
    modes: tuple[str, ...] = MODES
    control_hz: float = 10.0
    history: int = 4  # rows of joint readings that the condition holds
    horizon: int = 2  # control steps ahead
    width: int = 768  # of the denoiser's blocks
    depth: int = 3  # the denoiser's blocks on each side of its U
    encoder_width: int = 1024  # of the state encoder
    encoder_layers: int = 6
    inverse_width: int = 768  # of the inverse dynamics' blocks
    inverse_blocks: int = 4
    diffusion_steps: int = 100  # S, in training
    sampling_steps: int = 8  # in use
    clean_limit: float = 6.0  # offset scales; bounds the clean estimate while it is still a guess
    # Sampling steps that are compiled without a loop: a batch runs faster so on a CPU, and compiles for longer.
    unroll: ClassVar[int] = 12

    def __post_init__(self) -> None:
        """Refuses a hand that does not exist."""
        registry.load(self.hand_name)

    @property
    def hand(self) -> Hand:
        """The hand that the controller moves."""
        return registry.load(self.hand_name)

    @property
    def motion_shape(self) -> tuple[int, int, int]:
        """(T, K, 3)."""
        return self.horizon, self.hand.num_keypoints, 3

    @property
    def denoiser(self) -> Denoiser:
        """The network that reads noise off motions."""
        return Denoiser(
            self.width, self.encoder_width, len(self.modes), self.motion_shape, self.depth, self.encoder_layers
        )

    @property
    def inverse_dynamics(self) -> InverseDynamics:
        """The network that turns motions into actions."""
        return InverseDynamics(self.inverse_width, self.hand.num_joints, self.inverse_blocks)

    @property
    def schedule(self) -> diffusion.NoiseSchedule:
        """The noise schedule of training and sampling."""
        return diffusion.cosine_schedule(self.diffusion_steps)

    @property
    def steps(self) -> np.ndarray:
        """The diffusion steps that the sampler visits, (sampling_steps + 1,)."""
        return diffusion.ddim_steps(self.schedule, self.sampling_steps)

    def mode_index(self, mode: str) -> int:
        """Returns the number that stands for a mode's name."""
        return place(mode, self.modes, "mode")

    def initial_parameters(self, key: jax.Array) -> dict[str, Any]:
        """Draws untrained parameters {'denoiser', 'inverse_dynamics'}."""
        key_denoiser, key_inverse = jax.random.split(key)
        condition = np.zeros((self.history, windows.condition_size(self.hand)), np.float32)
        motion = np.zeros(self.motion_shape, np.float32)
        return {
            "denoiser": self.denoiser.init(key_denoiser, motion, np.int32(1), condition, np.int32(0)),
            "inverse_dynamics": self.inverse_dynamics.init(key_inverse, condition, motion),
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain values, for a JSON file."""
        return {**dataclasses.asdict(self), "modes": list(self.modes)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Model":
        """The inverse of `to_dict`; names a field that it does not know."""
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ValueError(f"unknown model fields {unknown}: the file was written by a newer version")
        return cls(**{**fields, "modes": tuple(fields.get("modes", MODES))})
