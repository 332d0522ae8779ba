import jax
import numpy as np
import pytest

from dexgen_jax import checkpoints
from dexgen_jax.controller import training
from dexgen_jax.controller.training import TrainingConfig

RECIPE = TrainingConfig(
    steps=200,
    batch=32,
    learning_rate=3e-3,
    warmup=10,
    weight_decay=1e-4,
    ema=0.99,
    reading_noise=0.002,
    reading_offset=0.001,
)
KEY = jax.random.PRNGKey(0)


def _train(model, recording, statistics, counts, state=None):
    state = state or training.initial_state(model, RECIPE, KEY)
    for count in counts:
        state, metrics = training.train_steps(model, RECIPE, state, recording, statistics, KEY, count)
    return state, metrics


def _assert_equal(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_both_networks_learn(tiny, recording, statistics):
    state, early = _train(tiny, recording, statistics, [20])
    for _ in range(9):
        state, late = training.train_steps(tiny, RECIPE, state, recording, statistics, KEY, 20)
    assert late["inverse_dynamics"] < 0.5 * early["inverse_dynamics"]
    assert late["denoising"] < 0.85 * early["denoising"]
    assert state.step == 200


def test_a_resumed_run_equals_one_that_was_never_interrupted(tiny, recording, statistics, tmp_path):
    whole, _ = _train(tiny, recording, statistics, [10, 10])
    half, _ = _train(tiny, recording, statistics, [10])
    saved = checkpoints.Checkpoints(tmp_path)
    saved.save(10, half)
    template = jax.eval_shape(lambda: training.initial_state(tiny, RECIPE, KEY))
    resumed, _ = _train(tiny, recording, statistics, [10], saved.restore(template))
    _assert_equal(whole, resumed)


def test_the_average_follows_the_parameters(tiny, recording, statistics):
    state, _ = _train(tiny, recording, statistics, [1])
    start = training.initial_state(tiny, RECIPE, KEY)
    # The first step keeps 1 / 10 of the old average.
    start, parameters = jax.device_get((start.average, state.parameters))
    expected = jax.tree.map(lambda old, new: 0.1 * old + 0.9 * new, start, parameters)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.average, expected)


def test_a_loss_that_is_not_a_number_stops_with_the_steps_between_which_it_appeared():
    training.check_finite({"denoising": 0.5}, 0, 100)
    with pytest.raises(FloatingPointError, match="between steps 100 and 200: {'denoising': nan}.*learning_rate"):
        training.check_finite({"denoising": float("nan"), "inverse_dynamics": 1.0}, 100, 200)
    with pytest.raises(FloatingPointError, match="inf"):
        training.check_finite({"denoising": float("inf")}, 0, 1)
