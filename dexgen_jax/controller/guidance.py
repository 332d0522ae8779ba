"""Guidance: a command bends the sampled motion, in metres, as far as its strength goes and never past the command.

The sampler wants motions from p(motion | condition) exp(-alpha Dist(motion)). At each diffusion step it holds an
estimate of the clean motion that is uncertain by Sigma, and moves it down the gradient of Dist:

    clean <- clean - alpha Sigma / (1 + alpha Sigma h) grad Dist,      h = |grad Dist|^2 / (2 Dist), per keypoint.

For weak pulls this is the paper's clean - alpha Sigma grad Dist (arXiv:2502.04307, section III-D). The denominator is
the clip: 1 / h is the step that reaches the minimum of a squared distance, so alpha -> infinity lands on the command
and nothing oscillates. Sigma is `clean_variance`, 1 - alpha_bar: unlike the variance of a DDPM step it is not zero at
the last step, and for a unit normal prior the rule is exact Bayes, estimate and command weighted by precision.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

Distance = Callable[[jax.Array], jax.Array]  # motion (T, K, 3) [m] -> cost (T, K) [m^2] of each keypoint, zero at best


def toward(command: jax.Array, weight: jax.Array | None = None) -> Distance:
    """The paper's distance: squared metres between each step's offsets and `command` (K, 3) [m, palm frame].

    `weight` (K,) chooses the keypoints that count, for instance only the tips.
    """

    def distance(motion: jax.Array) -> jax.Array:
        chex.assert_equal_shape([motion[0], command])
        cost = jnp.sum((motion - command[None]) ** 2, axis=-1)
        return cost if weight is None else weight[None] * cost

    return distance


def rms_distance(motion: jax.Array, command: jax.Array, weight: jax.Array) -> jax.Array:
    """Returns the root mean square distance () [m] of a motion (T, K, 3) [m] from `command` (K, 3) [m].

    `weight` (K,) as in `toward`; 0 if nobody is asked for.
    """
    total = len(motion) * jnp.sum(weight)
    return jnp.sqrt(jnp.sum(toward(command, weight)(motion)) / jnp.where(total > 0, total, 1.0))


def keep_away(centre: jax.Array, radius: float) -> Callable[[jax.Array], Distance]:
    """A restraint: no keypoint may come closer than `radius` [m] to `centre` (3,) [m, palm frame]."""

    def restraint(keypoints: jax.Array) -> Distance:
        def distance(motion: jax.Array) -> jax.Array:
            apart = keypoints[None] + motion - jnp.asarray(centre)[None, None]
            return jnp.maximum(radius - safe_norm(apart), 0.0) ** 2

        return distance

    return restraint


def speed_limit(speed: float, control_hz: float) -> Callable[[jax.Array], Distance]:
    """A restraint: no keypoint may move away from where it is faster than `speed` [m/s] on average."""

    def distance(motion: jax.Array) -> jax.Array:
        allowed = speed / control_hz * jnp.arange(1, len(motion) + 1)
        return jnp.maximum(safe_norm(motion) - allowed[:, None], 0.0) ** 2

    return lambda keypoints: distance


def safe_norm(x: jax.Array) -> jax.Array:
    """The length of the last axis, with a gradient of zero and not of NaN where it is zero."""
    square = jnp.sum(x**2, axis=-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def pull(
    distance: Distance,
    decode: Callable[[jax.Array], jax.Array],
    clean: jax.Array,
    alpha: jax.Array,
    variance: jax.Array,
) -> jax.Array:
    """Moves the estimate `clean` (T, K, 3) [unitless] toward less distance; `alpha` () [1/m^2], zero to infinity.

    `decode` takes the estimate to metres; the gradient passes through it. With alpha = 0 the estimate is returned bit
    for bit, whatever the distance is, not-a-number included.
    """
    cost, back = jax.vjp(lambda motion: distance(decode(motion)), clean)
    (gradient,) = back(jnp.ones_like(cost))
    steepness = jnp.sum(gradient**2, axis=-1)
    # Guarded before the divisions: a keypoint that is there already stays, and infinite alpha makes no 0 / 0.
    there = (cost <= 0) | (steepness <= 0)
    curvature = jnp.where(there, 1.0, steepness / (2 * jnp.where(there, 1.0, cost)))
    rate = jnp.where(there, 0.0, 1 / (1 / (alpha * variance) + curvature))
    return jnp.where(alpha > 0, clean - rate[..., None] * gradient, clean)


def strength(alpha: jax.Array | float, offset_std: jax.Array) -> jax.Array:
    """Returns lambda = 2 alpha s^2 (unitless): the command's precision, where a unit normal prior has 1.

    `offset_std` (T,) [m] is the normaliser's scale and s^2 its mean square. alpha alone means little without it.
    """
    return 2 * alpha * jnp.mean(offset_std**2)


def alpha_of(strength: jax.Array | float, offset_std: jax.Array) -> jax.Array:
    """Returns alpha [1/m^2] of a given lambda: the inverse of `strength`."""
    return strength / (2 * jnp.mean(offset_std**2))
