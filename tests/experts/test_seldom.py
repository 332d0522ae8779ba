"""What is computed for few of a batch is what each would have got alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.experts.seldom import seldom

SIZE = 13


@pytest.mark.parametrize("wanted", [0, 1, 5, 13])
@pytest.mark.parametrize("at_once", [1, 4, 13, 99])
def test_a_batch_gets_what_each_would_alone(wanted, at_once):
    choose = seldom(lambda x, y: {"sum": x + y, "product": (x * y)[None]}, lambda size: at_once)
    x, y = jnp.arange(SIZE) * 1.0, 3.0 - jnp.arange(SIZE)
    which = jax.random.permutation(jax.random.PRNGKey(wanted), SIZE) < wanted
    kept = {"sum": x * 100, "product": x[:, None] * -100}
    together = jax.jit(jax.vmap(choose))(which, kept, x, y)
    alone = jax.jit(lambda *args: jax.lax.map(lambda row: choose(*row), args))(which, kept, x, y)
    jax.tree.map(np.testing.assert_array_equal, together, alone)
    np.testing.assert_array_equal(together["sum"], np.where(which, 3.0, x * 100))


def test_what_all_share_is_given_to_each():
    choose = seldom(lambda x, shared: x + shared, lambda size: 2)
    batched = jax.vmap(choose, in_axes=(0, 0, 0, None))
    np.testing.assert_array_equal(
        batched(jnp.array([True, False, True]), jnp.zeros(3), jnp.arange(3.0), jnp.float32(10)), [10, 0, 12]
    )


def test_batches_of_batches_are_batches():
    choose = seldom(lambda x: 2 * x, lambda size: 2)
    x = jnp.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(jax.vmap(jax.vmap(choose))(x % 3 == 0, x, x), jnp.where(x % 3 == 0, 2 * x, x))
