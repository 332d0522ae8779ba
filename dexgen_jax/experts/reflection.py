"""The expert of a left hand from that of the right one: the same policy, looking at the world in a mirror."""

import jax.numpy as jnp
import numpy as np

from dexgen_jax.experts.networks import Expert


def reflect(expert: Expert, factors: np.ndarray, hand: str) -> Expert:
    """An expert of the hand named `hand`, an image, that acts on a reflected observation as `expert` on the original.

    `factors` (d,), 1 or -1, say how the entries of the observation `state` are reflected (`registry.reflection` of
    `envs`); an expert from before there were so many sees the first of them. They go into the normaliser's means and
    the first layer, so the result is an expert like any other. Actions and the rest of what it sees, a history or an
    action to begin with, are joints, which keep their angles. Its critic is left behind. Raises ValueError if it sees
    more than there are.
    """
    expert = expert.actor
    seen = expert.stats["state"]
    if len(factors) < len(seen.mean):
        raise ValueError(
            f"the expert sees {seen.mean.shape[0]} numbers, and the task reflects {factors.shape[0]}: it was trained "
            "in another task than its settings say"
        )
    signs = jnp.asarray(factors[: len(seen.mean)], seen.mean.dtype)
    layers = expert.params["actor"]["params"]
    kernel = layers["Dense_0"]["kernel"]  # a history's features stand behind the state
    rows = jnp.concatenate([signs, jnp.ones(kernel.shape[0] - len(signs), signs.dtype)])
    first = {**layers["Dense_0"], "kernel": rows[:, None] * kernel}
    actor = {"params": {**layers, "Dense_0": first}}
    stats = {**expert.stats, "state": seen.replace(mean=signs * seen.mean)}
    return expert.replace(config={**expert.config, "hand": hand}, params={**expert.params, "actor": actor}, stats=stats)
