import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller.unet import Denoiser, GroupNorm, step_features

NET = Denoiser(width=32, encoder_width=32, num_modes=3, motion_shape=(2, 8, 3), depth=3, encoder_layers=6)
NOISY = np.random.default_rng(0).standard_normal((2, 8, 3), np.float32)
CONDITION = np.random.default_rng(1).standard_normal((4, 60), np.float32)
PARAMETERS = jax.jit(NET.init)(jax.random.PRNGKey(2), NOISY, 1, CONDITION, 0)
apply = jax.jit(NET.apply, static_argnames="method")


def _whole(noisy=NOISY, step=5, condition=CONDITION, mode=1, apply=apply):
    return apply(PARAMETERS, noisy, np.int32(step), condition, np.int32(mode))


def _changed(numbers, place, by):
    numbers = numbers.copy()
    numbers[place] += by
    return numbers


def test_the_three_parts_make_the_whole_for_all_steps_at_once():
    code = apply(PARAMETERS, CONDITION, 1, method="encode")
    films = np.asarray(apply(PARAMETERS, code, np.array([5, 50, 97]), method="modulate"))
    for step, film in zip((5, 50, 97), films, strict=True):
        np.testing.assert_allclose(apply(PARAMETERS, NOISY, film, method="denoise"), _whole(step=step), atol=1e-5)


def test_every_input_matters():
    base = np.asarray(_whole())
    others = (
        _whole(noisy=_changed(NOISY, (1, 7, 2), 0.5)),
        _whole(step=6),
        _whole(condition=_changed(CONDITION, (0, 0), 1.0)),
        _whole(mode=2),
    )
    for other in others:
        assert np.abs(other - base).max() > 1e-4


def test_the_paper_s_size_is_the_paper_s_size():
    net = Denoiser(width=768, encoder_width=1024, num_modes=3, motion_shape=(2, 8, 3), depth=3, encoder_layers=6)
    shapes = jax.eval_shape(lambda key: net.init(key, NOISY, 1, CONDITION, 0), jax.random.PRNGKey(0))
    assert 15e6 < sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 25e6


def test_jit_and_vmap_agree_with_the_plain_call():
    batch = np.random.default_rng(3).standard_normal((5, 2, 8, 3), np.float32)
    many = jax.jit(jax.vmap(_whole))(batch)
    np.testing.assert_allclose(many, np.stack([_whole(noisy, apply=NET.apply) for noisy in batch]), atol=1e-4)


def test_step_features_tell_steps_apart():
    features = np.asarray(jax.jit(step_features)(np.arange(101)))
    assert features.shape == (101, 32)
    apart = np.linalg.norm(features[:, None] - features[None], axis=-1) + 10 * np.eye(101)
    assert apart.min() > 0.3


def test_a_width_that_the_groups_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of the 8 normalisation groups, got 20"):
        Denoiser(20, 16, 1, (2, 8, 3), 3, 6).init(jax.random.PRNGKey(0), NOISY, 1, CONDITION, 0)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_the_group_norm_and_its_gradients_are_those_of_flax(kind):
    x = jnp.asarray(np.random.default_rng(0).normal(3, 2, (5, 48)), kind)
    numbers = {"scale": jnp.linspace(0.5, 2, 48, dtype=kind), "bias": jnp.linspace(-1, 1, 48, dtype=kind)}

    def loss(norm, numbers, x):
        y = jax.vmap(lambda row: norm.apply({"params": numbers}, row))(x)
        assert y.dtype == x.dtype
        return jnp.sum(jnp.sin(y.astype(jnp.float32))), y

    found, expected = (
        jax.jit(jax.value_and_grad(loss, argnums=(1, 2), has_aux=True), static_argnums=0)(norm, numbers, x)
        for norm in (GroupNorm(8), nn.GroupNorm(8, reduction_axes=(-1,)))
    )
    away = 1e-4 if kind == "float32" else 0.1
    for value, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.float32(value), np.float32(other), atol=away, rtol=away)
