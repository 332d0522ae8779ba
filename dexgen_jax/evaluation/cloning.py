"""Behaviour cloning: a regression from what the hand feels to the expert's action, without diffusion and keypoints.

It is what the controller is measured against: as many parameters as the shipped one, the same recordings and readings.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dexgen_jax.controller.inverse_dynamics import InverseDynamics
from dexgen_jax.controller.model import Model
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer

WIDTH, BLOCKS = 424, 3  # 1.2 million parameters
NOISE = (0.025, 0.005)  # rad, as the controller's training has them
STEPS_PER_CALL = 100


def policy(model: Model, parameters: Any) -> Callable[[jax.Array], jax.Array]:
    """A normalised condition (H, C) to a normalised action (n,)."""
    return lambda condition: _network(model).apply(parameters, condition, _no_motion())


def initial(model: Model, key: jax.Array) -> Any:
    """The parameters of one that has learned nothing."""
    condition = jnp.zeros((model.history, windows.condition_size(model.hand)))
    return _network(model).init(key, condition, _no_motion())


def learn(
    model: Model, normalizer: Normalizer, recording: windows.Recording, key: jax.Array, steps: int, batch: int = 256,
    rate: float = 1e-3,
) -> tuple[Any, float]:  # fmt: skip
    """Learns for `steps` gradient steps; returns the parameters and the last loss, of normalised actions."""
    lengths = (model.history, model.horizon)
    optimizer = optax.adamw(optax.warmup_cosine_decay_schedule(0.0, rate, min(200, steps // 2), steps))
    parameters = initial(model, key)

    def loss(parameters: Any, batch: windows.Window) -> jax.Array:
        guess = jax.vmap(lambda x: policy(model, parameters)(normalizer.encode_condition(x)))(batch.condition)
        return jnp.mean((guess - jax.vmap(normalizer.encode_action)(batch.action)) ** 2)

    @functools.partial(jax.jit, donate_argnums=0)
    def some_steps(carry: tuple, first: jax.Array) -> tuple[tuple, jax.Array]:
        def step(i: jax.Array, carry: tuple) -> tuple:
            (parameters, state), total = carry
            drawn = windows.draw(model.hand, recording, jax.random.fold_in(key, first + i), batch, *lengths, NOISE)
            value, gradient = jax.value_and_grad(loss)(parameters, drawn)
            update, state = optimizer.update(gradient, state, parameters)
            return (optax.apply_updates(parameters, update), state), total + value

        count = jnp.minimum(STEPS_PER_CALL, steps - first)
        carry, total = jax.lax.fori_loop(0, count, step, (carry, jnp.zeros(())))
        return carry, total / count

    carry, last = (parameters, optimizer.init(parameters)), jnp.zeros(())
    for first in range(0, steps, STEPS_PER_CALL):
        carry, last = some_steps(carry, jnp.int32(first))
    return carry[0], float(last)


def _network(model: Model) -> InverseDynamics:
    return InverseDynamics(WIDTH, model.hand.num_joints, BLOCKS)


def _no_motion() -> jax.Array:
    return jnp.zeros((0, 3))
