"""Laws: devices that share a training learn what one learns alone, and it goes on from disk on others."""

import json
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import processes
import pytest

from dexgen_jax.controller import parallel, training
from dexgen_jax.dataset.windows import Window

RECIPE = training.TrainingConfig(
    steps=20, batch=32, learning_rate=1e-3, warmup=5, weight_decay=0.0, ema=0.9, reading_noise=0.0, reading_offset=0.0
)


@pytest.mark.parametrize("counts", [(1,), pytest.param((2, 4), marks=pytest.mark.slow)], ids=["some", "all"])
def test_any_number_of_devices_learns_the_same_and_so_does_pmap(counts):
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    script = Path(__file__).with_name("shared_training.py")
    done = processes.run([sys.executable, str(script), *map(str, counts)], env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    apart = {name: value for name, value in found.items() if name.startswith("one_to_")}
    assert len(apart) == len({1, *counts}) + 1 and max(apart.values()) < 1e-5, found
    assert found["moved"] > 1e-3 and np.isfinite(found["denoising"])
    assert found["read_on_few"] == 0 and found["devices_then"] == counts[0]  # saved by eight
    assert found["continued_on_few"] < 2e-5


def test_every_shard_has_noise_of_its_own_and_levels_are_dealt_out_in_turn(tiny, recording):
    alike = jax.tree.map(lambda x: jnp.stack([x, x]), recording)  # two shards of the same streams
    draw = jax.jit(lambda key: training.draw_shards(tiny, RECIPE, alike, key, 0, 2))
    window, noise, levels = draw(jax.random.PRNGKey(0))
    assert window.action.shape == (32, 16) and noise.shape == (32, 2, 8, 3)
    assert np.abs(noise[:16] - noise[16:]).min(axis=(1, 2, 3)).max() > 0
    assert not np.allclose(window.action[:16], window.action[16:])
    # One level in each 32nd of [0, 1); the shards have every other one.
    np.testing.assert_array_equal(np.sort((np.asarray(levels) * 32).astype(int)), np.arange(32))
    np.testing.assert_allclose(np.diff(np.sort(np.asarray(levels[:16]))), 1 / 16, atol=1e-6)
    second = jax.jit(lambda key: training.draw_shards(tiny, RECIPE, jax.tree.map(lambda x: x[1:], alike), key, 1, 2))
    part, own, _ = second(jax.random.PRNGKey(0))
    half = jax.tree.map(lambda x: x[16:], window)
    assert jax.tree.structure(part) == jax.tree.structure(half) and isinstance(part, Window)
    np.testing.assert_array_equal(own, noise[16:])
    np.testing.assert_allclose(part.action, half.action, atol=1e-6)


def products(jaxpr):
    """The number formats of all products of matrices in a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield from (str(x.aval.dtype) for x in equation.invars)
        for part in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns")):
            yield from products(getattr(part, "jaxpr", part)) if hasattr(part, "eqns") else ()


@pytest.mark.slow
def test_bfloat16_computes_in_16_bits_and_learns_in_32(tiny, recording, statistics):
    window = training.draw(tiny, RECIPE, recording, jax.random.PRNGKey(0), 1)
    window = jax.tree.map(lambda x: x[0], window)
    parameters = tiny.initial_parameters(jax.random.PRNGKey(2))
    noise = jax.random.normal(jax.random.PRNGKey(1), tiny.motion_shape)

    def loss(parameters, compute):
        losses = training.window_loss(tiny, parameters, statistics, window, jnp.int32(7), noise, compute)
        return losses["denoising"] + losses["inverse_dynamics"]

    formats = {
        compute: set(products(jax.make_jaxpr(lambda p, c=compute: loss(p, c))(parameters).jaxpr))
        for compute in training.COMPUTE
    }
    assert formats == {"float32": {"float32"}, "bfloat16": {"bfloat16"}}
    gradient = jax.eval_shape(jax.grad(lambda p: loss(p, "bfloat16")), parameters)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    np.testing.assert_allclose(loss(parameters, "bfloat16"), loss(parameters, "float32"), rtol=0.03)
    with pytest.raises(ValueError, match="no number format 'float16' to compute in; there are: float32, bfloat16"):
        training.TrainingConfig(**{**vars(RECIPE), "compute": "float16"})


def test_what_does_not_divide_is_refused_with_the_nearest_number():
    with pytest.raises(ValueError, match="8 shards do not divide among 3 devices: .* the nearest is 9"):
        parallel.refuse_uneven(32, 8, 3)
    with pytest.raises(ValueError, match="a batch of 30 windows does not divide among 8 shards: .* nearest is 32"):
        parallel.refuse_uneven(30, 8, 4)
