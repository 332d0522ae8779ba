import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller.dense import PADDING, PARTS, Dense, for_one_vector
from dexgen_jax.controller.inverse_dynamics import InverseDynamics
from dexgen_jax.controller.unet import Denoiser, fold

NET = Denoiser(width=32, encoder_width=32, num_modes=3, motion_shape=(2, 8, 3), depth=3, encoder_layers=6, folded=True)
NOISY = jax.random.normal(jax.random.PRNGKey(0), (2, 8, 3))
CONDITION = jax.random.normal(jax.random.PRNGKey(1), (4, 60))
TRAINED = NET.clone(folded=False).init(jax.random.PRNGKey(2), NOISY, 1, CONDITION, 0)
FOLDED = fold(TRAINED, num_steps=100)
KEPT = for_one_vector(FOLDED, rows=("film",), least=0)


def _rounded(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float16).astype(x.dtype), tree)


def test_a_large_matrix_is_cut_into_padded_parts_of_16_bits():
    first = KEPT["params"]["up_1"]["first"]  # reads 32 + 32 numbers
    assert set(first) == {"parts", "bias"}
    assert first["parts"].shape == (PARTS, 64 // PARTS * 32 + PADDING) and first["parts"].dtype == jnp.float16


@pytest.mark.parametrize("inputs", [16, 240, 1536])
def test_a_layer_of_parts_multiplies_by_the_rounded_matrix(inputs):
    layer, x = Dense(48), jax.random.normal(jax.random.PRNGKey(5), (inputs,))
    parameters = layer.init(jax.random.PRNGKey(6), x)
    again = jax.jit(layer.apply)(for_one_vector(parameters, least=0), x)
    np.testing.assert_allclose(again, layer.apply(_rounded(parameters), x), atol=1e-5)
    np.testing.assert_allclose(again, layer.apply(parameters, x), atol=1e-3)


def test_a_denoiser_kept_for_one_vector_is_the_one_with_rounded_matrices():
    exact = {name: FOLDED["params"][name] for name in ("film", "mode_embedding", "step_codes")}
    rounded = {"params": _rounded(FOLDED["params"]) | exact}
    inputs = NOISY, jnp.int32(5), CONDITION, jnp.int32(1)
    again = jax.jit(NET.apply)(KEPT, *inputs)
    np.testing.assert_allclose(again, NET.apply(rounded, *inputs), atol=1e-5)
    np.testing.assert_allclose(again, NET.apply(FOLDED, *inputs), atol=0.01)


def test_film_is_as_it_was_for_one_step_and_for_all_of_them():
    code, steps = jax.random.normal(jax.random.PRNGKey(7), (32,)), jnp.array([5, 50, 97])
    assert KEPT["params"]["film"]["transposed"].shape == (2, 6 * 32, 32)
    for step in (steps, steps[1]):
        films = [NET.apply(parameters, code, step, method="modulate") for parameters in (FOLDED, KEPT)]
        np.testing.assert_allclose(*films, atol=1e-5)


def test_inverse_dynamics_kept_for_one_vector_are_nearly_the_same():
    net = InverseDynamics(width=32, num_joints=16)
    parameters = net.init(jax.random.PRNGKey(8), CONDITION, NOISY)
    kept = for_one_vector(parameters, least=0)
    assert "parts" in kept["params"]["Dense_0"]
    np.testing.assert_allclose(
        net.apply(kept, CONDITION, NOISY).mean, net.apply(parameters, CONDITION, NOISY).mean, atol=2e-3
    )


def test_small_matrices_and_those_whose_inputs_do_not_divide_stay():
    for inputs, least in ((15, 0), (32, 32 * 4 + 1)):
        layer = {"params": {"entry": {"kernel": jnp.ones((inputs, 4)), "bias": jnp.ones(4)}}}
        assert for_one_vector(layer, least=least)["params"]["entry"]["kernel"].shape == (inputs, 4)
