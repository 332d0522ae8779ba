"""A training on any number of devices and hosts: each draws windows from its own shards, and all learn the same.

The state is the same on one device as on several, so a checkpoint of one goes on on the other. With several hosts
(`jax.distributed`) the devices are those of all of them, every host makes the same calls, and none needs the shards of
another.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, Sharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from dexgen_jax.controller import training
from dexgen_jax.controller.model import Model
from dexgen_jax.controller.training import Metrics, TrainingConfig, TrainState
from dexgen_jax.dataset import normalizer, windows
from dexgen_jax.dataset.normalizer import Normalizer

_AXIS = "data"


@dataclasses.dataclass(frozen=True)
class Training:
    """What a training loop calls; made by `on`."""

    create: Callable[[jax.Array], TrainState]  # key -> the state before the first step
    template: TrainState  # shapes and places of its leaves, for a checkpoint to be read into
    shards: Sharding  # where shards (s, ...) of recordings lie
    everywhere: Callable[[Any], Any]  # the same arrays on every device
    # (state, shards, normaliser, key, steps) -> (state, mean metrics); takes the state over
    learn: Callable[[TrainState, windows.Recording, Normalizer, jax.Array, int], tuple[TrainState, Metrics]]
    fit: Callable[[windows.Recording, jax.Array, int], Normalizer]  # (shards, key, windows) -> their statistics


def refuse_uneven(batch: int, shards: int, devices: int) -> None:
    """Raises ValueError unless windows divide among the shards, and shards among the devices."""
    if shards % devices:
        raise ValueError(
            f"{shards} shards do not divide among {devices} devices: make shards a multiple of {devices}, "
            f"the nearest is {max(round(shards / devices), 1) * devices}"
        )
    if batch % shards:
        raise ValueError(
            f"a batch of {batch} windows does not divide among {shards} shards: make recipe.batch a "
            f"multiple of {shards}, the nearest is {max(round(batch / shards), 1) * shards}"
        )


def on(devices: Sequence[jax.Device], model: Model, recipe: TrainingConfig, shards: int) -> Training:
    """The programs of a training on recordings in `shards` shards; compiles nothing yet.

    Gradients are averaged over the devices in every step, so parameters stay equal everywhere.
    """
    refuse_uneven(recipe.batch, shards, len(devices))
    begin = functools.partial(training.initial_state, model, recipe)
    steps = functools.partial(training.steps_on_shards, model, recipe)
    if len(devices) == 1:
        whole = split = SingleDeviceSharding(devices[0])
    else:
        mesh = Mesh(np.asarray(devices), (_AXIS,))
        whole, split = NamedSharding(mesh, P()), NamedSharding(mesh, P(_AXIS))
        specs = P(), P(_AXIS), P(), P(), P()
        # `train_step` averages by itself, so shard_map must not add sums of its own: check_vma=False.
        steps = jax.shard_map(
            functools.partial(steps, axis_name=_AXIS), mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False
        )
    everywhere = lambda tree: jax.device_put(jax.device_get(tree), whole)
    shapes = jax.eval_shape(begin, jax.random.PRNGKey(0))
    template = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), shapes)
    learn = jax.jit(steps, donate_argnums=0)
    fit = jax.jit(functools.partial(_fit, model, recipe, shards), static_argnums=2, out_shardings=whole)
    return Training(lambda key: everywhere(begin(key)), template, split, everywhere, learn, fit)


def _fit(
    model: Model, recipe: TrainingConfig, shards: int, recordings: windows.Recording, key: jax.Array, count: int
) -> Normalizer:
    """Statistics of `count` windows, about, drawn evenly from all shards."""
    each = -(-count // shards)
    draw = lambda recording, key: training.draw(model, recipe, recording, key, each)
    drawn = jax.vmap(draw)(recordings, jax.random.split(key, shards))
    return normalizer.fit(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), drawn))
