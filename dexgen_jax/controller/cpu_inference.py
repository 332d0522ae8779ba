"""One hand on a CPU: the same networks, rearranged so that their weights are read as fast as memory gives them.

A tick of one hand multiplies vectors by matrices; no weight is used twice in a diffusion step, so the time is that of
reading them. `for_one_hand` is the one way in: it takes a model and its weights and returns a model and weights that
`sampler` and `controller.act` use just as they use the others. Figures and how they came about: docs/sampler.md.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct, traverse_util

from dexgen_jax.controller.inverse_dynamics import InverseDynamics
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.unet import Denoiser, GroupNorm, step_features

PARTS = 16  # of a matrix: as many streams as a core's registers and prefetchers carry
PADDING = 64  # numbers between parts, or all would begin in the same set of the cache, which holds twelve


def for_one_hand(model: Model, weights: Weights) -> tuple[Model, Weights]:
    """Returns model and weights as the tick of a single hand reads them fastest: on a CPU rearranged, else as they are.

    Large matrices are rounded to 16 bits, see `for_one_vector`: 11 bits of a number count, as in the products of a GPU
    in TF32. Not to be trained, saved or used for a batch.
    """
    if jax.default_backend() != "cpu":
        return model, weights
    denoiser = for_one_vector(fold(weights.denoiser, model.diffusion_steps), rows=("film",))
    inverse_dynamics = for_one_vector(weights.inverse_dynamics)
    rearranged = weights.replace(denoiser=denoiser, inverse_dynamics=inverse_dynamics)
    return OneHandModel.from_dict(model.to_dict()), rearranged


class OneHandModel(Model):
    """A `Model` whose networks take the weights that `for_one_hand` rearranged."""

    unroll = 1  # a loop finds its own code in the cache

    @property
    def denoiser(self) -> "FoldedDenoiser":
        """The same function as `Model.denoiser`."""
        return FoldedDenoiser(
            self.width, self.encoder_width, len(self.modes), self.motion_shape, self.depth, self.encoder_layers
        )

    @property
    def inverse_dynamics(self) -> "OneVectorInverseDynamics":
        """The same function as `Model.inverse_dynamics`."""
        return OneVectorInverseDynamics(self.inverse_width, self.hand.num_joints, self.inverse_blocks)


# --- Folding: the same function with less to read ---------------------------------------------------------------------


def fold(parameters: Any, num_steps: int) -> Any:
    """Returns a `Denoiser`'s parameters for `FoldedDenoiser`, for diffusion steps 0 to `num_steps`.

    The first block reads the noisy numbers through one matrix, the product of its own and the entry's: nothing lies
    between them. At the bottom of the U, hidden and skip are the same vector, so the matrices of both are added. And
    the codes of the diffusion steps, which depend on nothing else, become a table.
    """
    tree = dict(parameters["params"])
    step, projection = tree.pop("step_encoder"), tree.pop("step_projection")
    tree["step_codes"] = _step_codes(np.arange(num_steps + 1), step, projection)
    # In 64 bits: sums that are rounded once more would be seen at the noisiest steps.
    entry, first, bottom = (
        jax.tree.map(lambda x: np.asarray(x, np.float64), layer)
        for layer in (tree["entry"], tree["down_0"]["first"], tree["up_0"]["first"])
    )
    joined = {
        "kernel": entry["kernel"] @ first["kernel"],
        "bias": entry["bias"] @ first["kernel"] + first["bias"],
    }
    both = {"kernel": sum(np.split(bottom["kernel"], 2)), "bias": bottom["bias"]}
    for block, layer in (("down_0", joined), ("up_0", both)):
        tree[block] = {**tree[block], "first": jax.device_put(jax.tree.map(np.float32, layer))}
    return {**parameters, "params": tree}


@jax.jit
def _step_codes(steps: jax.Array, step: Any, projection: Any) -> jax.Array:
    hidden = nn.silu(step_features(steps) @ step["kernel"] + step["bias"][None])
    return hidden @ projection["kernel"]


class FoldedDenoiser(Denoiser):
    """A `Denoiser` of parameters that `fold` made."""

    def encode(self, condition: jax.Array, mode: jax.Array) -> jax.Array:
        """See `Denoiser.encode`."""
        with nn.intercept_methods(one_vector_layers):
            return super().encode(condition, mode)

    def modulate(self, code: jax.Array, step: jax.Array) -> Any:
        """See `Denoiser.modulate`; of several steps as `Films`."""
        hidden: jax.Array = self.get_variable("params", "step_codes")[step]
        with nn.intercept_methods(one_vector_layers):
            film = self.film(nn.silu(jnp.broadcast_to(code, hidden.shape) + hidden))
        film = film.reshape(*jnp.shape(step), 2 * self.depth, 2, self.width)
        return Films(film) if jnp.ndim(step) else film

    def denoise(self, noisy: jax.Array, film: jax.Array) -> jax.Array:
        """See `Denoiser.denoise`."""
        with nn.intercept_methods(one_vector_layers):
            numbers, skips = noisy.reshape(-1), []
            hidden = self.entry(numbers)
            for i, block in enumerate(self.down):
                hidden = block(hidden, hidden if i else numbers, film[i])
                skips.append(hidden)
            for i, block in enumerate(self.up):
                skip = skips.pop()
                seen = jnp.concatenate([hidden, skip]) if i else hidden
                hidden = block(hidden, seen, film[self.depth + i])
            return self.exit(hidden).reshape(noisy.shape)


@struct.dataclass
class Films:
    """FiLM parameters of several diffusion steps, of which one is picked by a product.

    XLA would draw an indexing into each use, and slow the loops there.
    """

    rows: jax.Array  # (S, 2 * depth, 2, width)

    def __getitem__(self, i: jax.Array) -> jax.Array:
        """Returns those of step number `i` (), (2 * depth, 2, width)."""
        return jnp.tensordot(jax.nn.one_hot(i, len(self.rows), dtype=self.rows.dtype), self.rows, 1)


class OneVectorInverseDynamics(InverseDynamics):
    """An `InverseDynamics` of parameters as `for_one_vector` left them."""

    def __call__(self, condition: jax.Array, offsets: jax.Array) -> jax.Array:
        """See `InverseDynamics`."""
        with nn.intercept_methods(one_vector_layers):
            return super().__call__(condition, offsets)


# --- Layers: one vector at a time -------------------------------------------------------------------------------------


def for_one_vector(parameters: Any, rows: tuple[str, ...] = (), least: int = 384 * 384) -> Any:
    """Returns a network's parameters, the matrices (inputs, width) of its dense layers kept for one vector.

    A matrix is rounded to 16 bits and cut into `PARTS`, (PARTS, inputs / PARTS * width + PADDING); the layer then takes
    vectors only. One of the layers `rows`, which meet a few rows at once, becomes (2, width / 2, inputs), as it is.
    Matrices of fewer than `least` numbers stay: they lie in a core's own cache, and are not worth a second thread.
    """

    def kept(path: tuple[str, ...], value: jax.Array) -> tuple[tuple[str, ...], jax.Array]:
        *_, layer, name = path
        if name != "kernel" or len(value) % PARTS or value.size < least:
            return path, value
        matrix = np.asarray(value)  # NumPy moves numbers without compiling a program for each shape
        if layer in rows:
            return (*path[:-1], "transposed"), jax.device_put(matrix.T.reshape(2, -1, len(matrix)))
        parts = matrix.astype(np.float16).reshape(PARTS, -1)
        return (*path[:-1], "parts"), jax.device_put(np.pad(parts, ((0, 0), (0, PADDING))))

    flat = traverse_util.flatten_dict(parameters)
    return traverse_util.unflatten_dict(dict(kept(path, value) for path, value in flat.items()))


def one_vector_layers(call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> Any:
    """Calculates dense layers and group norms the fast way; for `nn.intercept_methods`."""
    layer = context.module
    if context.method_name != "__call__" or not isinstance(layer, nn.Dense | GroupNorm):
        return call(*args, **kwargs)
    (x,), numbers = args, layer.variables["params"]
    if isinstance(layer, GroupNorm):
        return _group_norm(x, numbers, layer.groups)
    if "parts" in numbers:
        x = _product_with_parts(x, numbers["parts"], layer.features)
    elif "transposed" in numbers:
        x = _product_with_transposed(x, numbers["transposed"])
    else:
        return call(*args)
    return x + jnp.broadcast_to(numbers["bias"], x.shape) if layer.use_bias else x


def _group_norm(x: jax.Array, numbers: Any, groups: int) -> jax.Array:
    """Gives each of the groups of a vector (width,) mean 0 and variance 1, then scales and shifts every number."""
    grouped = x.reshape(groups, -1)
    mean, square = _means(grouped), _means(grouped**2)
    normal = (grouped - mean) * jax.lax.rsqrt(jnp.maximum(square - mean**2, 0.0) + 1e-6)
    return normal.reshape(-1) * numbers["scale"] + numbers["bias"]


def _means(rows: jax.Array) -> jax.Array:
    """Means (N, 1) of rows (N, n). Pieces of 32 are added first: XLA sums a longer row on a CPU in two kernels."""
    pieces = jnp.split(rows, rows.shape[1] // 32, axis=1) if rows.shape[1] % 32 == 0 else [rows]
    return sum(pieces).sum(axis=1, keepdims=True) / rows.shape[1]


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
