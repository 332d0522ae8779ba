"""What few environments of a batch need at a time, computed for those alone.

Under `vmap` a choice between two values computes both for the whole batch. A reset is needed by one environment in a
hundred, and costs as much as a control step.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def seldom(function: Callable, at_once: Callable[[int], int]) -> Callable:
    """Returns `choose(wanted, otherwise, *arguments)`: `function(*arguments)` where `wanted` (), else `otherwise`.

    In a batch of `size`, under `vmap`, `at_once(size)` of those that want it are computed together, then the next ones,
    until nobody is left. `function` returns what `otherwise` is: a tree of the same shapes and types.
    """

    @jax.custom_batching.custom_vmap
    def choose(wanted: jax.Array, otherwise: Any, *arguments: Any) -> Any:
        return jax.tree.map(lambda new, old: jnp.where(wanted, new, old), function(*arguments), otherwise)

    @choose.def_vmap
    def choose_some(size: int, batched: list, wanted: jax.Array, otherwise: Any, *arguments: Any) -> tuple[Any, Any]:
        whole = lambda x, has: x if has else jnp.broadcast_to(x, (size, *jnp.shape(x)))
        wanted, otherwise, *rest = jax.tree.map(whole, (wanted, otherwise, *arguments), tuple(batched))

        def few(now: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
            wanted, result = now
            rows = jnp.nonzero(wanted, size=min(size, at_once(size)), fill_value=size)[0]  # row `size` is nobody
            new = jax.vmap(function)(*jax.tree.map(lambda x: x[rows], rest))
            put = lambda new, old: old.at[rows].set(new, mode="drop")
            return wanted.at[rows].set(False, mode="drop"), jax.tree.map(put, new, result)

        result = jax.lax.while_loop(lambda now: now[0].any(), few, (wanted, otherwise))[1]
        return result, jax.tree.map(lambda _: True, result)

    return choose
