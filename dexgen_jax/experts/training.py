"""A training on any number of devices: each steps its share of the environments, and all learn the same.

The state is the same on one device as on several, so a checkpoint of one goes on on the other. With several hosts
(`jax.distributed`) the devices are those of all of them, and every host makes the same calls.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import Env
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dexgen_jax.experts import ppo
from dexgen_jax.experts.networks import ActorCritic, Expert, RunningStats
from dexgen_jax.experts.ppo import PPOConfig, TrainState

_AXIS = "data"


@dataclasses.dataclass(frozen=True)
class Training:
    """What a training loop calls; made by `on`."""

    create: Callable[[jax.Array], TrainState]  # key -> a new run, the same on any number of devices
    template: TrainState  # shapes and places of its leaves, for a checkpoint to be read into
    learn: Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]]  # one iteration; takes its argument over


def share(config: PPOConfig, devices: int) -> PPOConfig:
    """What one of `devices` runs of the `num_envs` environments of them all.

    Raises ValueError if the environments, or then their minibatches, do not divide.
    """
    if config.num_envs % devices:
        raise ValueError(
            f"{config.num_envs} environments do not divide among {devices} devices: make ppo.num_envs a multiple of "
            f"{devices}, the nearest is {max(round(config.num_envs / devices), 1) * devices}"
        )
    return dataclasses.replace(config, num_envs=config.num_envs // devices)


def on(
    devices: Sequence[jax.Device], env: Env, networks: ActorCritic, config: PPOConfig, episode_steps: int
) -> Training:
    """The programs of a training of `config.num_envs` environments in all; compiles nothing yet.

    One device runs `ppo.iteration` as it is. On several, each has its environments and its noise; gradients and
    statistics are averaged in every update, so parameters stay equal everywhere.
    """
    own = share(config, len(devices))
    begin = jax.jit(lambda key: ppo.init(env, networks, config, key, episode_steps))
    shapes = jax.eval_shape(begin, jax.random.PRNGKey(0))
    if len(devices) == 1:
        return Training(begin, shapes, jax.jit(lambda s: ppo.iteration(env, networks, own, s), donate_argnums=0))
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    specs = jax.tree.map(lambda _: P(), shapes).replace(env=jax.tree.map(lambda _: P(_AXIS), shapes.env))
    places = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    template = jax.tree.map(lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes, places)
    step = functools.partial(ppo.iteration, env, networks, own, axis_name=_AXIS)
    # `iteration` averages by itself, so shard_map must not add sums of its own: check_vma=False.
    mapped = jax.shard_map(step, mesh=mesh, in_specs=(specs,), out_specs=(specs, P()), check_vma=False)
    create = lambda key: jax.device_put(jax.device_get(begin(key)), places)
    return Training(create, template, jax.jit(mapped, donate_argnums=0))


def start_from(state: TrainState, expert: Expert) -> TrainState:
    """A new run with the policy and the normaliser of a trained expert; its critic is learned anew.

    The expert may have seen less, if what it saw comes first, and may be narrower: it acts as before, and learns to use
    the rest. Raises ValueError if it saw more, is wider, or has another number of layers.
    """
    expert = widen(expert.actor, state)
    new = {**state.params, **expert.params}, {**state.stats, **expert.stats}
    old = state.params, state.stats
    leaves = jax.tree_util.tree_leaves_with_path
    sizes = [{jax.tree_util.keystr(path): jnp.shape(x) for path, x in leaves(tree)} for tree in (new, old)]
    if differing := [name for name in {**sizes[0], **sizes[1]} if sizes[0].get(name) != sizes[1].get(name)]:
        was, is_now = (size.get(differing[0], "nothing") for size in sizes)
        raise ValueError(
            f"the expert to start from has {was} at {differing[0]} where this training has {is_now}: give it the "
            "widths, the history, the style.shown, the sees_all and the carries that the expert was trained with"
        )
    place = lambda x, like: jax.device_put(jnp.asarray(x, like.dtype), like.sharding)
    params, stats = jax.tree.map(place, new, old)
    return state.replace(params=params, stats=stats)


def widen(expert: Expert, state: TrainState) -> Expert:
    """The same policy with the widths of a new run, and on all that is seen there.

    What the expert's units do not know yet, new entries and new units of the layer before, has no weight in them, so
    learning begins with the old actions; the new units are the new run's. An expert that looks back or is shown a
    style has that behind what it sees, where new entries would have to stand: it stays as it is, and so does one that
    is larger anywhere.
    """
    old, new = (params["actor"]["params"] for params in (expert.params, state.params))
    known, seen = (stats["state"].mean.shape[0] for stats in (expert.stats, state.stats))
    shapes = [[layers[name]["kernel"].shape for name in sorted(layers)] for layers in (old, new)]
    larger = any(a > b for pair in zip(*shapes, strict=False) for a, b in zip(*pair, strict=True))
    if len(old) != len(new) or larger or (known < seen and (expert.history or expert.styled)):
        return expert
    layers = {name: jax.tree.map(_embed, old[name], new[name]) for name in old}
    fresh = RunningStats.zeros(seen - known)
    stats = jax.tree.map(lambda was, more: jnp.concatenate([was, more]), expert.stats["state"], fresh)
    return expert.replace(params={**expert.params, "actor": {"params": layers}}, stats={**expert.stats, "state": stats})


def _embed(old: jax.Array, new: jax.Array) -> np.ndarray:
    """`new` (..., N) whose first n columns are those of `old` (..., n), with zeros below."""
    old, out = np.asarray(old), np.array(new)  # on the host: with several hosts, `new` lies on the devices of all
    out[..., : old.shape[-1]] = 0
    out[tuple(slice(n) for n in old.shape)] = old
    return out
