"""The controller's training step in PyTorch: what benchmarks/training.py compares with.

The networks are those of sampler_torch.py, the losses, AdamW, clipping and the moving average those of
`dexgen_jax.controller.training`. PyTorch is given its windows ready, noise included, and the learning rate stands
still: it has less to do than our step, which cuts windows from recordings and draws noise.
"""

from collections.abc import Callable

import jax
import numpy as np
import torch
from sampler_torch import Tick, copy_denoiser
from torch import nn

from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.training import TrainingConfig
from dexgen_jax.controller.unet import STEP_FEATURES
from dexgen_jax.dataset import windows


class Learner(Tick):
    """The networks with the step features of every diffusion step, and their losses."""

    def __init__(self, model: Model):
        """Random weights of the model's sizes."""
        joints = model.hand.num_joints
        super().__init__(model, model.history * windows.condition_size(model.hand), joints)
        rate = 1000.0 ** -(torch.arange(STEP_FEATURES // 2) / (STEP_FEATURES // 2))
        angle = torch.arange(model.diffusion_steps + 1)[:, None] * rate
        self.register_buffer("all_features", torch.cat([angle.sin(), angle.cos()], dim=-1))
        self.register_buffer("alpha_bar", torch.tensor(np.asarray(model.schedule.alpha_bar, np.float32)))

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss (), see `training.batch_loss`."""
        condition, motion, noise = batch["condition"], batch["motion"], batch["noise"]
        signal = self.alpha_bar[batch["step"]][:, None, None, None]
        noisy = signal.sqrt() * motion + (1 - signal).sqrt() * noise
        code = self.encoder(condition) + self.mode(batch["mode"])
        hidden = nn.functional.silu(code + self.step_encoder(self.all_features[batch["step"]]))
        film = self.film(hidden).reshape(len(code), 2 * self.depth, 2, -1)
        hidden, skips = self.entry(noisy.flatten(1)), []
        for j, block in enumerate(self.down):
            hidden = block(hidden, None, film[:, j])
            skips.append(hidden)
        for j, block in enumerate(self.up):
            hidden = block(hidden, skips.pop(), film[:, self.depth + j])
        velocity = self.exit(hidden).reshape(motion.shape)
        denoising = ((velocity - (signal.sqrt() * noise - (1 - signal).sqrt() * motion)) ** 2).mean()
        hidden = self.inverse_entry(torch.cat([condition, motion.flatten(1)], dim=-1))
        for block in self.inverse_blocks:
            hidden = hidden + block(hidden)
        residual = batch["action"] - self.inverse_exit(hidden)
        return denoising + (residual**2).mean()


def learning(
    model: Model, recipe: TrainingConfig, weights: Weights, batch: dict[str, np.ndarray], loss: float
) -> dict[str, Callable[[], None]]:
    """One training step on a ready batch, as written and compiled.

    The denoiser begins with the numbers of `weights`; its loss on the batch must be `loss`, or nothing is compared.
    """
    torch.manual_seed(0)
    ready = {name: torch.from_numpy(np.array(value)) for name, value in batch.items()}
    for name in ("step", "mode"):
        ready[name] = ready[name].long()
    found = {}
    for kind in ("eager", "compiled"):
        network = Learner(model)
        copy_denoiser(network, weights)
        copy_inverse(network, weights)
        with torch.no_grad():
            theirs = float(network(ready))
        np.testing.assert_allclose(theirs, loss, rtol=1e-4)
        found[kind] = _step(network, recipe, ready, compiled=kind == "compiled")
    return found


def copy_inverse(network: Learner, weights: Weights) -> None:
    """Gives the PyTorch inverse dynamics the numbers of the JAX one, whose layers are numbered as they are called."""
    tree = jax.tree.map(np.asarray, weights.inverse_dynamics["params"])
    dense = [network.inverse_entry, *(layer for block in network.inverse_blocks for layer in (block[1], block[3]))]
    norms = [*(block[0] for block in network.inverse_blocks), network.inverse_exit[0]]
    layers = {f"Dense_{i}": layer for i, layer in enumerate([*dense, network.inverse_exit[1]])}
    layers |= {f"LayerNorm_{i}": layer for i, layer in enumerate(norms)}
    with torch.no_grad():
        for name, layer in layers.items():
            for kind, value in tree[name].items():
                to = layer.bias if kind == "bias" else layer.weight
                to.copy_(torch.tensor(value.T if kind == "kernel" else value))
            if isinstance(layer, nn.LayerNorm):
                layer.eps = 1e-6  # that of Flax
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.eps = 1e-6


def _step(
    network: Learner, recipe: TrainingConfig, batch: dict[str, torch.Tensor], compiled: bool
) -> Callable[[], None]:
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay)
    average = [parameter.detach().clone() for parameter in parameters]
    call = torch.compile(network) if compiled else network

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        call(batch).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 1 - recipe.ema)

    return step
