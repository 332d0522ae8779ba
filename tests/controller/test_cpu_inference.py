import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller.cpu_inference import (
    PADDING,
    PARTS,
    Films,
    FoldedDenoiser,
    OneVectorInverseDynamics,
    fold,
    for_one_hand,
    for_one_vector,
    one_vector_layers,
)
from dexgen_jax.controller.inverse_dynamics import InverseDynamics
from dexgen_jax.controller.sampler import sample_motion
from dexgen_jax.controller.unet import Denoiser, GroupNorm

SIZES = dict(width=32, encoder_width=32, num_modes=3, motion_shape=(2, 8, 3), encoder_layers=6)
PLAIN, NET = Denoiser(**SIZES, depth=3), FoldedDenoiser(**SIZES, depth=3)
NOISY = np.random.default_rng(0).standard_normal((2, 8, 3), np.float32)
CONDITION = np.random.default_rng(1).standard_normal((4, 60), np.float32)
TRAINED = jax.jit(PLAIN.init)(jax.random.PRNGKey(2), NOISY, 1, CONDITION, 0)
FOLDED = fold(TRAINED, num_steps=100)
KEPT = for_one_vector(FOLDED, rows=("film",), least=0)


def _rounded(tree):
    return jax.tree.map(lambda x: np.asarray(x).astype(np.float16).astype(x.dtype), tree)


def test_a_large_matrix_is_cut_into_padded_parts_of_16_bits():
    first = KEPT["params"]["up_1"]["first"]  # reads 32 + 32 numbers
    assert set(first) == {"parts", "bias"}
    assert first["parts"].shape == (PARTS, 64 // PARTS * 32 + PADDING) and first["parts"].dtype == jnp.float16


LAYER = nn.Dense(48)
dense = jax.jit(LAYER.apply)


@jax.jit
def _one_vector(parameters, x):
    with nn.intercept_methods(one_vector_layers):
        return LAYER.apply(parameters, x)


@pytest.mark.parametrize("inputs", [16, 240, 1536])
def test_a_layer_of_parts_multiplies_by_the_rounded_matrix(inputs):
    x = np.random.default_rng(5).standard_normal(inputs, np.float32)
    parameters = jax.jit(LAYER.init)(jax.random.PRNGKey(6), x)
    again = _one_vector(for_one_vector(parameters, least=0), x)
    np.testing.assert_allclose(again, dense(_rounded(parameters), x), atol=1e-5)
    np.testing.assert_allclose(again, dense(parameters, x), atol=1e-3)


def test_candidates_may_be_drawn_side_by_side():
    parameters = jax.jit(LAYER.init)(jax.random.PRNGKey(6), np.ones(32, np.float32))
    kept = for_one_vector(parameters, least=0)
    many = np.random.default_rng(5).standard_normal((3, 32), np.float32)
    each = np.stack([_one_vector(kept, x) for x in many])
    np.testing.assert_allclose(jax.vmap(_one_vector, (None, 0))(kept, many), each, atol=1e-5)


def test_a_denoiser_kept_for_one_vector_is_the_one_with_rounded_matrices():
    exact = {name: FOLDED["params"][name] for name in ("film", "mode_embedding", "step_codes")}
    rounded = {"params": _rounded(FOLDED["params"]) | exact}
    inputs = NOISY, jnp.int32(5), CONDITION, jnp.int32(1)
    apply = jax.jit(NET.apply)
    again = apply(KEPT, *inputs)
    np.testing.assert_allclose(again, apply(rounded, *inputs), atol=1e-5)
    np.testing.assert_allclose(again, apply(FOLDED, *inputs), atol=0.01)


def test_film_is_as_it_was_for_one_step_and_for_all_of_them():
    code, steps = np.random.default_rng(7).standard_normal(32, np.float32), np.array([5, 50, 97])
    whole, kept = (jax.jit(functools.partial(net.apply, method="modulate")) for net in (PLAIN, NET))
    assert KEPT["params"]["film"]["transposed"].shape == (2, 6 * 32, 32)
    for step in (steps, steps[1]):
        plain, film = whole(TRAINED, code, step), kept(KEPT, code, step)
        np.testing.assert_allclose(film.rows if isinstance(film, Films) else film, plain, atol=1e-5)


def test_inverse_dynamics_kept_for_one_vector_are_nearly_the_same():
    sizes = dict(width=32, num_joints=16)
    net = InverseDynamics(**sizes)
    parameters = jax.jit(net.init)(jax.random.PRNGKey(8), CONDITION, NOISY)
    kept = for_one_vector(parameters, least=0)
    assert "parts" in kept["params"]["Dense_0"]
    again = jax.jit(OneVectorInverseDynamics(**sizes).apply)(kept, CONDITION, NOISY)
    np.testing.assert_allclose(again, jax.jit(net.apply)(parameters, CONDITION, NOISY), atol=2e-3)


def test_small_matrices_and_those_whose_inputs_do_not_divide_stay():
    for inputs, least in ((15, 0), (32, 32 * 4 + 1)):
        layer = {"params": {"entry": {"kernel": np.ones((inputs, 4)), "bias": np.ones(4)}}}
        assert for_one_vector(layer, least=least)["params"]["entry"]["kernel"].shape == (inputs, 4)


@pytest.mark.parametrize("depth", [1, 3])
def test_folded_parameters_are_the_same_function(depth):
    net = PLAIN.clone(depth=depth)
    parameters = jax.jit(net.init)(jax.random.PRNGKey(2), NOISY, 1, CONDITION, 0)
    # A new layer's bias is zero.
    shifted = jax.tree.map(lambda x: np.asarray(x) + np.float32(0.1) if x.ndim == 1 else x, parameters)
    folded = fold(shifted, num_steps=100)
    assert folded["params"]["down_0"]["first"]["kernel"].shape == (48, 32)
    assert folded["params"]["up_0"]["first"]["kernel"].shape == (32, 32)
    inputs = NOISY, jnp.int32(5), CONDITION, jnp.int32(1)
    again = jax.jit(NET.clone(depth=depth).apply)(folded, *inputs)
    np.testing.assert_allclose(again, jax.jit(net.apply)(shifted, *inputs), atol=1e-5)


@pytest.mark.parametrize("width", [24, 256, 768])
def test_the_group_norm_of_one_vector_is_summed_in_another_order(width):
    x = np.random.default_rng(0).normal(3, 2, width).astype(np.float32)
    norm = GroupNorm(8)
    scale, bias = (np.linspace(*ends, width, dtype=np.float32) for ends in ((0.5, 2), (-1, 1)))
    parameters = {"params": {"scale": scale, "bias": bias}}

    def pieces(parameters, x):
        with nn.intercept_methods(one_vector_layers):
            return norm.apply(parameters, x)

    assert str(jax.make_jaxpr(pieces)(parameters, x)) != str(jax.make_jaxpr(norm.apply)(parameters, x))
    np.testing.assert_allclose(jax.jit(pieces)(parameters, x), jax.jit(norm.apply)(parameters, x), atol=1e-5)


def test_films_are_picked_as_by_an_index():
    rows = np.random.default_rng(4).standard_normal((3, 6, 2, 32), np.float32)
    pick = jax.jit(lambda rows, i: Films(rows)[i])
    for i in range(3):
        np.testing.assert_array_equal(pick(rows, i), rows[i])


def test_one_hand_s_model_and_weights_draw_the_same_motion(tiny, untrained):
    # Wider than tiny, in which normalising a group of two numbers makes a step of any rounding error.
    model = dataclasses.replace(tiny, width=64)
    weights = untrained.replace(denoiser=jax.jit(model.initial_parameters)(jax.random.PRNGKey(2))["denoiser"])
    key = jax.random.PRNGKey(4)
    plain, again = (
        jax.jit(functools.partial(sample_motion, net))(numbers, CONDITION, jnp.int32(1), key)
        for net, numbers in ((model, weights), for_one_hand(model, weights))
    )
    np.testing.assert_allclose(again, plain, atol=5e-3)  # of numbers up to 6


def test_elsewhere_than_on_a_cpu_nothing_is_rearranged(tiny, untrained, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    model, weights = for_one_hand(tiny, untrained)
    assert model is tiny and weights is untrained
