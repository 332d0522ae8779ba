"""Generalised advantage estimation with termination and truncation kept apart."""

import chex
import jax
import jax.numpy as jnp


def generalized_advantages(
    rewards: jax.Array,
    values: jax.Array,
    next_values: jax.Array,
    termination: jax.Array,
    truncation: jax.Array,
    discount: float,
    gae_lambda: float,
) -> tuple[jax.Array, jax.Array]:
    """Returns advantages (T,) and value targets (T,) of one environment's time line.

    `next_values[t]` is the value of the state reached by step t *before* any reset: a terminated episode is worth
    nothing after its end, a truncated one would have gone on and is worth its next state. Both stop the sum.
    Source: arXiv:1506.02438, eq. 16; delta_t = r_t + discount (1 - termination_t) V(s_t+1) - V(s_t).
    """
    chex.assert_equal_shape([rewards, values, next_values, termination, truncation])
    delta = rewards + discount * (1 - termination) * next_values - values
    going_on = (1 - termination) * (1 - truncation)

    def back(carry: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        change, alive = now
        advantage = change + discount * gae_lambda * alive * carry
        return advantage, advantage

    _, advantages = jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, going_on), reverse=True)
    return advantages, advantages + values
