import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.controller.inverse_dynamics import InverseDynamics, Normal, regression_loss

NET = InverseDynamics(width=16, num_joints=16, num_blocks=2)
CONDITION, OFFSETS = jnp.ones((4, 60)), jnp.ones((2, 8, 3))


def test_the_spread_does_not_touch_the_regression():
    parameters = NET.init(jax.random.PRNGKey(0), CONDITION, OFFSETS)
    action = jnp.linspace(-1, 1, 16)

    def part(i):
        return jax.grad(lambda p: regression_loss(NET.apply(p, CONDITION, OFFSETS), action)[i])(parameters)["params"]

    error, likelihood = part(0), part(1)
    assert jnp.abs(likelihood.pop("log_std")).max() > 0 and jnp.abs(error.pop("log_std")).max() == 0
    assert all(jnp.abs(leaf).max() == 0 for leaf in jax.tree.leaves(likelihood))
    assert any(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(error))


def test_numbers_by_hand_and_the_best_spread_is_that_of_the_residuals():
    residual = jnp.array([0.3, -0.3])
    square, likelihood = regression_loss(Normal(jnp.zeros(2), jnp.log(jnp.array([0.3, 0.3]))), residual)
    np.testing.assert_allclose(square, 0.09, rtol=1e-6)
    np.testing.assert_allclose(likelihood, 0.5 + np.log(0.3), rtol=1e-6)
    slope = jax.grad(lambda s: regression_loss(Normal(jnp.zeros(2), s), residual)[1])(jnp.log(jnp.full(2, 0.3)))
    np.testing.assert_allclose(slope, 0, atol=1e-6)
