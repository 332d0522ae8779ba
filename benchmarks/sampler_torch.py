"""The controller's tick in PyTorch, written straightforwardly and well: what benchmarks/sampler.py compares with.

Same layers, same number of weights, same guidance by autograd. The condition is encoded once and inference mode is on
where no gradient is needed; FiLM is computed inside the loop, as the usual diffusion policy code does.
"""

import copy
import operator
from collections.abc import Callable
from functools import reduce

import jax
import numpy as np
import torch
from torch import nn

from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.unet import GROUPS, STEP_FEATURES
from dexgen_jax.dataset import windows


class Block(nn.Module):
    """See `dexgen_jax.controller.unet.Block`."""

    def __init__(self, width: int, read: int):
        """`read` is the length of the input: twice the width where a skip connection is read too."""
        super().__init__()
        self.first, self.second = nn.Linear(read, width), nn.Linear(width, width)
        self.first_norm, self.second_norm = nn.GroupNorm(GROUPS, width), nn.GroupNorm(GROUPS, width)

    def forward(self, hidden: torch.Tensor, skip: torch.Tensor | None, film: torch.Tensor) -> torch.Tensor:
        """Reads (batch, width); `film` (batch, 2, width)."""
        seen = hidden if skip is None else torch.cat([hidden, skip], dim=-1)
        inner = nn.functional.silu(self.first_norm(self.first(seen)))
        inner = inner * (1 + film[:, 0]) + film[:, 1]
        return hidden + nn.functional.silu(self.second_norm(self.second(inner)))


class Tick(nn.Module):
    """One control tick from condition and command to action."""

    def __init__(self, model: Model, condition_size: int, joints: int):
        """Random weights of the model's sizes."""
        super().__init__()
        width, self.depth, self.shape = model.width, model.depth, model.motion_shape
        numbers = torch.Size(self.shape).numel()
        sizes = [condition_size] + [model.encoder_width] * model.encoder_layers
        layers = [layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]
        self.encoder = nn.Sequential(*layers, nn.Linear(model.encoder_width, width))
        self.mode = nn.Embedding(len(model.modes), width)
        self.step_encoder = nn.Sequential(
            nn.Linear(STEP_FEATURES, width), nn.SiLU(), nn.Linear(width, width, bias=False)
        )
        self.film = nn.Linear(width, 4 * self.depth * width)
        self.entry, self.exit = nn.Linear(numbers, width), nn.Linear(width, numbers)
        self.down = nn.ModuleList(Block(width, width) for _ in range(self.depth))
        self.up = nn.ModuleList(Block(width, 2 * width) for _ in range(self.depth))
        self.inverse_entry = nn.Linear(condition_size + numbers, model.inverse_width)
        block = lambda n: nn.Sequential(nn.LayerNorm(n), nn.Linear(n, n), nn.SiLU(), nn.Linear(n, n))
        self.inverse_blocks = nn.ModuleList(block(model.inverse_width) for _ in range(model.inverse_blocks))
        self.inverse_exit = nn.Sequential(nn.LayerNorm(model.inverse_width), nn.Linear(model.inverse_width, joints))
        steps = torch.tensor(model.steps)
        rate = 1000.0 ** -(torch.arange(STEP_FEATURES // 2) / (STEP_FEATURES // 2))
        angle = steps[:-1, None] * rate
        self.register_buffer("features", torch.cat([angle.sin(), angle.cos()], dim=-1))
        self.signal = torch.tensor(model.schedule.alpha_bar)[steps].tolist()
        self.limit = model.clean_limit

    def velocity(self, noisy: torch.Tensor, code: torch.Tensor, i: int) -> torch.Tensor:
        """See `dexgen_jax.controller.unet.Denoiser`."""
        hidden = nn.functional.silu(code + self.step_encoder(self.features[i : i + 1]))
        film = self.film(hidden).reshape(len(code), 2 * self.depth, 2, -1)
        hidden, skips = self.entry(noisy.flatten(1)), []
        for j, block in enumerate(self.down):
            hidden = block(hidden, None, film[:, j])
            skips.append(hidden)
        for j, block in enumerate(self.up):
            hidden = block(hidden, skips.pop(), film[:, self.depth + j])
        return self.exit(hidden).reshape(noisy.shape)

    def forward(self, condition: torch.Tensor, command: torch.Tensor, alpha: float, scale: float) -> torch.Tensor:
        """Returns the action (batch, joints) for a normalised condition and a command [m]."""
        code = self.encoder(condition) + self.mode.weight[:1]
        motion = torch.randn(len(condition), *self.shape, dtype=condition.dtype)
        for i, (now, then) in enumerate(zip(self.signal[:-1], self.signal[1:], strict=True)):
            velocity = self.velocity(motion, code, i)
            clean = (now**0.5 * motion - (1 - now) ** 0.5 * velocity).clamp(-self.limit, self.limit)
            clean = pull(clean, command, alpha * (1 - now), scale)
            noise = (motion - now**0.5 * clean) / (1 - now) ** 0.5
            motion = then**0.5 * clean + (1 - then) ** 0.5 * noise
        hidden = self.inverse_entry(torch.cat([condition, motion.flatten(1)], dim=-1))
        for block in self.inverse_blocks:
            hidden = hidden + block(hidden)
        return self.inverse_exit(hidden)


def pull(clean: torch.Tensor, command: torch.Tensor, rate: float, scale: float) -> torch.Tensor:
    """See `dexgen_jax.controller.guidance.pull`; the gradient of the squared distance by autograd."""
    with torch.enable_grad():
        free = clean.detach().requires_grad_(True)
        cost = ((free * scale - command) ** 2).sum(-1)
        (gradient,) = torch.autograd.grad(cost.sum(), free)
    curvature = (gradient**2).sum(-1) / (2 * cost.detach())
    return clean - gradient / (1 / rate + curvature)[..., None]


def copy_denoiser(tick: Tick, weights: Weights) -> None:
    """Gives the PyTorch denoiser the numbers of the JAX one; each layer of one must have its layer in the other."""
    layers = {f"encoder_{i}": tick.encoder[2 * i] for i in range(len(tick.encoder) // 2)}
    layers |= {"condition_projection": tick.encoder[-1]}
    layers |= {"step_encoder": tick.step_encoder[0], "step_projection": tick.step_encoder[2], "film": tick.film}
    layers |= {"mode_embedding": tick.mode, "entry": tick.entry, "exit": tick.exit}
    for side in ("down", "up"):
        for i, block in enumerate(getattr(tick, side)):
            layers |= {f"{side}_{i}/{name}": layer for name, layer in block.named_children()}
    left = jax.tree.map(np.asarray, weights.denoiser["params"])
    with torch.no_grad():
        for name, layer in layers.items():
            numbers = reduce(operator.getitem, name.split("/"), left)
            for kind, value in numbers.items():
                to = layer.bias if kind == "bias" else layer.weight
                to.copy_(torch.tensor(value.T if kind == "kernel" else value))
    theirs = sum(number.numel() for layer in layers.values() for number in layer.parameters())
    counts = sum(number.size for number in jax.tree.leaves(left)), theirs
    if counts[0] != counts[1]:
        raise ValueError(f"the two denoisers are not the same: {counts[0]} parameters in JAX, {counts[1]} in PyTorch")


def check_equal(tick: Tick, model: Model, weights: Weights) -> None:
    """Refuses to compare two networks that do not compute the same."""
    random = np.random.default_rng(0)
    noisy = random.standard_normal(model.motion_shape).astype(np.float32)
    condition = random.standard_normal((model.history, windows.condition_size(model.hand))).astype(np.float32)
    ours = jax.jit(model.denoiser.apply)(weights.denoiser, noisy, np.int32(model.steps[1]), condition, np.int32(0))
    with torch.no_grad():
        code = tick.encoder(torch.from_numpy(condition).reshape(1, -1)) + tick.mode.weight[:1]
        theirs = tick.velocity(torch.from_numpy(noisy)[None], code, 1)[0].numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def acting(model: Model, weights: Weights) -> dict[str, Callable[[], None]]:
    """Returns one guided control tick of a network checked to be that of `weights`, three times.

    They are `eager`, `compiled` and `half`: compiled, with weights, activations and products of float16.
    """
    torch.manual_seed(0)
    hand = model.hand
    size = model.history * windows.condition_size(hand)
    tick = Tick(model, size, hand.num_joints).eval()
    copy_denoiser(tick, weights)
    check_equal(tick, model, weights)
    condition, command = torch.randn(1, size), torch.full((hand.num_keypoints, 3), 0.01)

    def call(network: nn.Module, kind: torch.dtype = torch.float32) -> Callable[[], None]:
        inputs = condition.to(kind), command.to(kind)

        def act() -> None:
            with torch.no_grad():
                network(*inputs, 750.0, 0.005)

        return act

    half = torch.compile(copy.deepcopy(tick).half())
    return {"eager": call(tick), "compiled": call(torch.compile(tick)), "half": call(half, torch.float16)}
