"""Laws of the Warp engine: whatever way it is batched it computes the same, and what it has no room for is an error."""

import dataclasses
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import mjx
from dexgen_jax.physics import world as worlds

pytestmark = [
    pytest.mark.slow,  # Warp compiles its kernels for a minute
    pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="warp is not installed"),
]


@pytest.fixture(scope="module")
def warp():
    return engines.make(allegro.load(), [catalog.load(name) for name in ("cube_55", "cylinder_48_70")], "warp")


@pytest.fixture(scope="module")
def inputs(warp):
    """Four closed hands, a cube or a cylinder in each."""
    hand = warp.hand
    q = jnp.asarray(hand.prior.joint_mean, jnp.float32)
    qpos = jnp.concatenate([q, jnp.asarray(hand.prior.object_position, jnp.float32), jnp.array([1.0, 0, 0, 0])])
    world = jax.vmap(lambda i: worlds.nominal(warp.object(i)))(jnp.arange(4) % 2)
    target = q + 0.4 * jnp.asarray(hand.prior.closing, jnp.float32)
    return jax.vmap(warp.init)(jnp.tile(qpos, (4, 1))), jnp.tile(target, (4, 1)), world


def test_one_vmap_two_vmaps_and_none_agree(warp, inputs):
    once = jax.jit(jax.vmap(warp.step))(*inputs)
    assert float(once.touch.sum()) > 1
    pairs = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), inputs)
    twice = jax.jit(jax.vmap(jax.vmap(warp.step)))(*pairs)
    np.testing.assert_allclose(twice.qpos.reshape(once.qpos.shape), once.qpos, atol=1e-5)
    alone = jax.jit(warp.step)(*jax.tree.map(lambda x: x[1], inputs))
    np.testing.assert_allclose(alone.qpos, once.qpos[1], atol=1e-5)
    shared = jax.jit(jax.vmap(warp.step, in_axes=(0, None, 0)))(inputs[0], inputs[1][0], inputs[2])
    np.testing.assert_allclose(shared.qpos, once.qpos, atol=1e-5)


@pytest.mark.parametrize(
    "room, message",
    [
        ({"contacts": 3}, r"naconmax is 12\).*set CONTACTS_PER_ENV to at least [4-9]"),
        ({"rows": 8}, r"njmax is 8\).*ROWS_PER_ENV to at least \d\d"),
    ],
    ids=["contacts", "rows"],
)
def test_an_overflow_is_an_error_that_names_the_size_needed(warp, inputs, room, message):
    small = dataclasses.replace(warp, advance=mjx.advance_warp(warp.scene, engines.SUBSTEPS, **room))
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(jax.jit(jax.vmap(small.step))(*inputs))
