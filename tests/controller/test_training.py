import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax import checkpoints
from dexgen_jax.controller import diffusion, training
from dexgen_jax.controller.training import TrainingConfig
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.dataset.windows import Window
from dexgen_jax.hand import allegro

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

# Networks that answer what they are shown: the noisy motion, and the mean of the motion. A unit of the motion is 1 cm,
# one of the action 0.1 rad. `TWO` windows move by 1 and 3 units; their actions are -2 and 1 units.
ECHO = types.SimpleNamespace(
    schedule=diffusion.NoiseSchedule(np.float32([1.0, 0.64, 0.36])),
    diffusion_steps=2,
    motion_shape=(2, 8, 3),
    hand=allegro.load(),
    denoiser=types.SimpleNamespace(apply=lambda parameters, noisy, step, condition, mode: noisy),
    inverse_dynamics=types.SimpleNamespace(apply=lambda parameters, condition, motion: jnp.full(16, motion.mean())),
)
NOTHING = {"denoiser": {}, "inverse_dynamics": {}}
UNITS = Normalizer(np.zeros((4, 60)), np.ones((4, 60)), np.full(2, 0.01), np.zeros(16), np.full(16, 0.1))
TWO = Window(
    np.zeros((2, 4, 60), np.float32),
    np.float32([0.01, 0.03])[:, None, None, None] * np.ones((2, 8, 3), np.float32),
    np.zeros(2, np.int32),
    np.float32([-0.2, 0.1])[:, None] * np.ones(16, np.float32),
)


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


def test_every_step_sees_windows_of_its_own(tiny, recording, statistics):
    def loss(step):
        state = training.initial_state(tiny, RECIPE, KEY).replace(step=jnp.int32(step))
        return float(training.train_steps(tiny, RECIPE, state, recording, statistics, KEY, 1)[1]["inverse_dynamics"])

    assert loss(0) == loss(0) != loss(1)


def test_levels_are_spread_evenly_from_0_to_1():
    levels = np.sort(training.spread_levels(KEY, jnp.arange(32), 32))
    assert 0 <= levels[0] and levels[-1] < 1
    np.testing.assert_allclose(np.diff(levels), 1 / 32, atol=1e-6)


def test_losses_by_hand_at_the_least_and_the_most_noise():
    # The lowest level is step 1, never the clean one: a motion of 1 and noise of 0.25 are 0.8 x 1 + 0.6 x 0.25 = 0.95,
    # the velocity 0.8 x 0.25 - 0.6 x 1 = -0.4. The highest is step 2 of two: 0.6 x 3 + 0.8 x 0.25 = 2, velocity
    # 0.6 x 0.25 - 0.8 x 3 = -2.25. Actions of 1 and 3 units are answered, -2 and 1 were wanted.
    noise = np.full((2, 2, 8, 3), 0.25, np.float32)
    of_batch = jax.jit(lambda levels: training.batch_loss(ECHO, NOTHING, UNITS, TWO, noise, levels))
    total, parts = of_batch(np.float32([0.0, 0.999]))
    np.testing.assert_allclose(parts["denoising"], (1.35**2 + 4.25**2) / 2, rtol=1e-5)
    np.testing.assert_allclose(parts["inverse_dynamics"], (3**2 + 2**2) / 2, rtol=1e-5)
    np.testing.assert_allclose(total, parts["denoising"] + parts["inverse_dynamics"], rtol=1e-6)


def test_what_is_measured_of_unseen_windows_by_hand(monkeypatch):
    condition = np.full((2, 4, 60), 0.5, np.float32)
    condition[:, -1, -16:] = 0.2  # the targets now are 0.2 rad ahead of the joints
    monkeypatch.setattr(training, "draw", lambda *_: TWO.replace(condition=condition))
    monkeypatch.setattr(training, "sample_motion", lambda *_, temperature: jnp.ones((2, 8, 3)))  # 1 cm
    weights = types.SimpleNamespace(**NOTHING, normalizer=UNITS)
    metrics = jax.jit(lambda key: training.held_out_metrics(ECHO, RECIPE, weights, None, key, 2))(KEY)
    # Both windows in a root mean square. The networks make 0.1 rad of a centimetre; -0.2 and 0.1 rad were recorded.
    expected = {
        "motion_error_of_holding_m": (0.01, 0.03),
        "motion_error_of_samples_m": (0.0, 0.02),
        "action_error_of_holding_rad": (0.2 + 0.2, 0.2 - 0.1),
        "action_error_of_samples_rad": (0.1 + 0.2, 0.1 - 0.1),
        "action_error_rad": (0.1 + 0.2, 0.3 - 0.1),
    }
    for name, (first, second) in expected.items():
        np.testing.assert_allclose(metrics[name], np.sqrt((first**2 + second**2) / 2), rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(metrics["inverse_dynamics_loss"], (3**2 + 2**2) / 2, rtol=1e-5)  # in units
