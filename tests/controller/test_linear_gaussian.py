"""A learning proof with a known answer: on motions that are normal given the condition, nothing can beat a formula.

A motion is x = A c + s z with z standard normal, so that given c and the noisy x the velocity is normal too, with
variance s^2 / (a s^2 + 1 - a) at alpha_bar = a: what is left of the loss however well a network learns.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dexgen_jax.controller import training
from dexgen_jax.controller.model import Model
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.dataset.windows import Window

MODEL = Model(
    width=128, depth=1, encoder_width=64, encoder_layers=1, inverse_width=8, inverse_blocks=1, diffusion_steps=20,
    history=1,
)  # fmt: skip
RECIPE = training.TrainingConfig(
    steps=4000, batch=256, learning_rate=2e-3, warmup=50, weight_decay=0.0, ema=0.995, reading_noise=0.0,
    reading_offset=0.0,
)  # fmt: skip
SEEN = 6  # numbers of the condition that the motion follows
AS_IT_IS = jax.tree.map(
    np.float32, Normalizer(np.zeros((1, 60)), np.ones((1, 60)), np.ones(2), np.zeros(16), np.ones(16))
)
SPREAD = np.sqrt(np.linspace(0.3, 0.9, 48)).astype(np.float32).reshape(2, 8, 3)  # s of each number of a motion


def draw(key: jax.Array, count: int) -> Window:
    """Windows of the made-up set; every number of a motion has variance 1."""
    key_seen, key_motion, key_action = jax.random.split(key, 3)
    seen = jax.random.normal(key_seen, (count, SEEN))
    condition = jnp.zeros((count, 1, 60)).at[:, 0, :SEEN].set(seen)
    way = jax.random.normal(jax.random.PRNGKey(7), (SEEN, 48))
    follow = (seen @ (way / jnp.linalg.norm(way, axis=0, keepdims=True))).reshape(count, 2, 8, 3)
    spread = jnp.broadcast_to(SPREAD, follow.shape)
    motion = jnp.sqrt(1 - spread**2) * follow + spread * jax.random.normal(key_motion, follow.shape)
    return Window(condition, motion, jnp.zeros(count, jnp.int32), jax.random.normal(key_action, (count, 16)))


def optimum(step: np.ndarray) -> np.ndarray:
    """The least loss at each diffusion step (n,)."""
    signal = np.asarray(MODEL.schedule.alpha_bar)[step][:, None]
    variance = SPREAD.reshape(1, -1) ** 2
    return (variance / (signal * variance + 1 - signal)).mean(axis=1)


@pytest.mark.slow
def test_the_denoiser_comes_within_five_percent_of_the_optimum_at_every_step():
    @jax.jit
    def learn(state: training.TrainState) -> training.TrainState:
        def step(state: training.TrainState, number: jax.Array) -> tuple[training.TrainState, None]:
            keys = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(0), number), 3)
            noise = jax.random.normal(keys[1], (RECIPE.batch, *MODEL.motion_shape))
            levels = training.spread_levels(keys[2], jnp.arange(RECIPE.batch), RECIPE.batch)
            loss = lambda p: training.batch_loss(MODEL, p, AS_IT_IS, draw(keys[0], RECIPE.batch), noise, levels)[0]
            gradient = jax.grad(loss)(state.parameters)
            update, optimizer = RECIPE.optimizer.update(gradient, state.optimizer, state.parameters)
            parameters = optax.apply_updates(state.parameters, update)
            average = optax.incremental_update(parameters, state.average, 1 - RECIPE.ema)
            return training.TrainState(state.step + 1, parameters, average, optimizer), None

        return jax.lax.scan(step, state, jnp.arange(RECIPE.steps))[0]

    average = learn(training.initial_state(MODEL, RECIPE, jax.random.PRNGKey(1))).average

    @jax.jit
    def measured(step: jax.Array, key: jax.Array) -> jax.Array:
        key_draw, key_noise = jax.random.split(key)
        windows = draw(key_draw, 4096)
        noise = jax.random.normal(key_noise, windows.offsets.shape)
        loss = functools.partial(training.window_loss, MODEL, average, AS_IT_IS)
        return jax.vmap(loss, (0, None, 0))(windows, step, noise)["denoising"].mean()

    steps = np.arange(1, MODEL.diffusion_steps + 1)
    found = np.asarray([measured(jnp.int32(step), jax.random.PRNGKey(100 + step)) for step in steps])
    print("excess over the optimum by step:", (found / optimum(steps) - 1).round(4).tolist())
    np.testing.assert_array_less(found, 1.05 * optimum(steps))
    np.testing.assert_array_less(0.97 * optimum(steps), found)  # less than the least would be a wrong formula
