"""The dense layer of all the controller's networks, and how its matrix is kept for one vector at a time on a CPU.

There the time of a layer is that of reading its matrix. So a large one may be kept in 16 bits and in pieces, in the
order in which XLA reads them on all cores. Figures and how they came about: docs/sampler.md.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import traverse_util

PARTS = 16  # of a matrix: as many streams as a core's registers and prefetchers carry
PADDING = 64  # numbers between parts, or all would begin in the same set of the cache, which holds twelve


class Dense(nn.Module):
    """A dense layer for vectors (inputs,) or rows (N, inputs), whose matrix may come as `for_one_vector` left it."""

    width: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns (width,) or (N, width)."""
        if self.has_variable("params", "parts"):
            x = _product_with_parts(x, self.get_variable("params", "parts"), self.width)
        elif self.has_variable("params", "transposed"):
            x = _product_with_transposed(x, self.get_variable("params", "transposed"))
        else:
            x = x @ self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], self.width))
        if not self.use_bias:
            return x
        return x + jnp.broadcast_to(self.param("bias", nn.initializers.zeros, (self.width,)), x.shape)


def for_one_vector(parameters: Any, rows: tuple[str, ...] = (), least: int = 384 * 384) -> Any:
    """Returns the parameters of a network of `Dense` layers, their matrices (inputs, width) kept for one vector.

    A matrix is rounded to 16 bits and cut into `PARTS`, (PARTS, inputs / PARTS * width + PADDING); the layer then takes
    vectors only. One of the layers `rows`, which meet a few rows at once, becomes (2, width / 2, inputs), as it is.
    Matrices of fewer than `least` numbers stay: they lie in a core's own cache, and are not worth a second thread.
    """

    def kept(path: tuple[str, ...], value: jax.Array) -> tuple[tuple[str, ...], jax.Array]:
        *_, layer, name = path
        if name != "kernel" or len(value) % PARTS or value.size < least:
            return path, value
        if layer in rows:
            return (*path[:-1], "transposed"), jnp.reshape(value.T, (2, -1, len(value)))
        parts = jnp.reshape(value.astype(jnp.float16), (PARTS, -1))
        return (*path[:-1], "parts"), jnp.pad(parts, ((0, 0), (0, PADDING)))

    flat = traverse_util.flatten_dict(parameters)
    return traverse_util.unflatten_dict(dict(kept(path, value) for path, value in flat.items()))


def _product_with_parts(x: jax.Array, parts: jax.Array, width: int) -> jax.Array:
    """A vector (inputs,) times a matrix that was cut into parts of its rows; sums in 32 bits.

    Written as sums of scaled rows, which XLA turns into one loop that widens, multiplies and adds sixteen streams at
    once, on all cores; a product of matrices of 16 bits is many times slower on a CPU.
    """
    # Else XLA widens every matrix once, before the loop over diffusion steps, and reads twice the bytes ever after.
    x, parts = jax.lax.optimization_barrier((x, parts))
    numbers = x.reshape(PARTS, -1, 1)
    size = numbers.shape[1]
    total = jnp.zeros((size, width), x.dtype)
    for i in range(PARTS):
        total = total + parts[i, : size * width].reshape(size, width).astype(x.dtype) * numbers[i]
    # Not a sum, which XLA would draw into the loop and calculate number by number.
    return jnp.ones(size, x.dtype) @ total


def _product_with_transposed(x: jax.Array, transposed: jax.Array) -> jax.Array:
    """A vector or rows (..., inputs) times a matrix (2, width / 2, inputs), whose halves go to a core each."""
    # Else XLA joins the halves again.
    product = jax.lax.optimization_barrier(jnp.einsum("...i,hwi->h...w", x, transposed))
    return jnp.moveaxis(product, 0, -2).reshape(*x.shape[:-1], -1)
