import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller import guidance

SCALE = jnp.array([0.01, 0.02])  # m, of the two horizon steps
COMMAND = jax.random.normal(jax.random.PRNGKey(0), (8, 3)) * 0.02
CLEAN = jax.random.normal(jax.random.PRNGKey(1), (2, 8, 3))


def _decode(motion):
    return motion * SCALE[:, None, None]


def _pull(alpha, variance=0.5, clean=CLEAN, distance=None):
    distance = distance or guidance.toward(COMMAND)
    return guidance.pull(distance, _decode, clean, jnp.float32(alpha), jnp.float32(variance))


def _apart(motion):
    return jnp.linalg.norm(_decode(motion) - COMMAND[None], axis=-1)


def test_alpha_zero_changes_no_bit_even_for_a_command_that_is_not_a_number():
    np.testing.assert_array_equal(_pull(0.0), CLEAN)
    broken = guidance.toward(jnp.full((8, 3), jnp.nan))
    np.testing.assert_array_equal(_pull(0.0, distance=broken), CLEAN)


@pytest.mark.parametrize("alpha", [1e12, jnp.inf])
def test_endless_strength_lands_on_the_command_and_stays(alpha):
    there = _pull(alpha)
    np.testing.assert_allclose(_apart(there), 0, atol=1e-7)
    np.testing.assert_allclose(_pull(alpha, clean=there), there, atol=1e-5)


def test_stronger_is_nearer_and_never_past_the_command():
    alphas = np.geomspace(1, 1e9, 40)
    moved = jax.vmap(_pull)(alphas)
    apart = jax.vmap(_apart)(moved)
    assert (apart[1:] <= apart[:-1] + 1e-8).all()
    before, after = COMMAND[None] - _decode(CLEAN), COMMAND[None, None] - jax.vmap(_decode)(moved)
    assert (jnp.sum(after * before[None], axis=-1) >= -1e-9).all()


def test_a_weak_pull_is_the_papers_gradient_step():
    alpha, variance = 3.0, 0.5
    gradient = jax.grad(lambda x: jnp.sum((_decode(x) - COMMAND[None]) ** 2))(CLEAN)
    np.testing.assert_allclose(_pull(alpha) - CLEAN, -alpha * variance * gradient, rtol=2e-3, atol=1e-7)


def test_one_number_by_hand_is_bayes_for_a_unit_prior():
    # lambda = 2 * 5000 / m^2 * (0.01 m)^2 = 1 at the first step, variance 0.5: precisions 2 and 1,
    # so the motion goes one third of the way. At the second step lambda = 4: two thirds.
    moved = _pull(5000.0, 0.5)
    goal = COMMAND[None] / SCALE[:, None, None]
    share = jnp.array([1 / 3, 2 / 3])[:, None, None]
    np.testing.assert_allclose(moved, CLEAN + share * (goal - CLEAN), atol=1e-5)


def test_weights_choose_the_keypoints_that_listen():
    tips = jnp.array([1.0] * 4 + [0.0] * 4)
    moved = _pull(1e9, distance=guidance.toward(COMMAND, tips))
    np.testing.assert_allclose(_apart(moved)[:, :4], 0, atol=1e-6)
    np.testing.assert_array_equal(moved[:, 4:], CLEAN[:, 4:])


def test_any_distance_will_do():
    # Keep every keypoint's offset out of z > 1 cm: the hinge's pull ends on the border and leaves the rest alone.
    moved = _decode(_pull(1e9, distance=lambda motion: jnp.maximum(motion[..., 2] - 0.01, 0.0) ** 2))
    np.testing.assert_allclose(moved[..., 2], jnp.minimum(_decode(CLEAN)[..., 2], 0.01), atol=1e-6)
    np.testing.assert_allclose(moved[..., :2], _decode(CLEAN)[..., :2], rtol=1e-6)


def test_strength_is_unitless_and_its_inverse_is_alpha():
    # s^2 = (1e-4 + 4e-4) / 2 m^2, alpha = 1000 / m^2: 2 * 1000 * 2.5e-4
    np.testing.assert_allclose(guidance.strength(1000.0, SCALE), 0.5, rtol=1e-6)
    np.testing.assert_allclose(guidance.alpha_of(0.5, SCALE), 1000.0, rtol=1e-6)


def test_a_command_of_the_wrong_shape_is_refused():
    with pytest.raises(AssertionError, match="shape"):
        _pull(1.0, distance=guidance.toward(COMMAND[:4]))
