"""Helpers, by hand: what each makes of a command, and that those that imitate listen as the controller does."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller import controller
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.evaluation import cloning, helping
from dexgen_jax.hand import allegro

HAND = allegro.load()
MODEL = Model(
    hand_name="allegro", control_hz=10.0, width=16, depth=1, encoder_width=16, encoder_layers=1, inverse_width=16,
    inverse_blocks=1,
)  # fmt: skip
Q = jnp.asarray(0.5 * (HAND.lower + HAND.upper), jnp.float32)
WISH = jnp.full(16, 0.05)
SETTINGS = controller.Settings()


@pytest.fixture(scope="module")
def weights():
    rows, joints = jnp.ones((MODEL.history, windows.condition_size(HAND))), jnp.ones(16)
    normalizer = Normalizer(0 * rows, rows, jnp.full(MODEL.horizon, 0.01), 0 * joints, joints)
    return Weights(None, None, normalizer)


def test_a_clipped_command_keeps_to_the_experts_speed():
    helper = helping.clip(most=0.1)
    aim, _ = helper.act(helper.reset(Q, Q), Q, Q, Q + jnp.linspace(-0.3, 0.3, 16), 1.0, None)
    np.testing.assert_allclose(aim - Q, np.clip(np.linspace(-0.3, 0.3, 16), -0.1, 0.1), atol=1e-6)


def test_who_imitates_is_weighed_against_the_command(weights):
    def told(imitate):
        helper = helping.imitator(MODEL, weights, SETTINGS, imitate)
        return jax.jit(
            lambda target, command, strength: helper.act(helper.reset(Q, Q), Q, target, command, strength, None)
        )

    own = 0.02 * jnp.ones(16)
    act = told(lambda condition: own)
    np.testing.assert_allclose(act(Q, Q + WISH, 0.0)[0], Q + own, atol=1e-6)  # unheard: its own
    np.testing.assert_allclose(act(Q, Q + WISH, jnp.inf)[0], Q + WISH, atol=1e-6)  # heard alone
    aim, memory = act(Q, Q + WISH, 1.0)
    assert np.all((Q + own < aim) & (aim < Q + WISH)) and np.all(memory.wish > 0)
    aim, _ = told(lambda condition: 2.0 * jnp.ones(16))(Q, Q, 0.0)
    assert np.abs(aim - Q).max() <= SETTINGS.limits.max_step + 1e-6  # as the controller may
    # The columns of a condition are the tips, 12, then joints, targets and errors; its last row is now.
    aim, _ = told(lambda condition: condition[-1, 28:44] - condition[-1, 12:28])(Q + WISH, Q, 0.0)
    np.testing.assert_allclose(aim, Q + WISH, atol=1e-6)


def test_the_nearest_moment_says_what_to_do():
    conditions = jnp.stack([jnp.full((4, 60), x) for x in (-1.0, 0.0, 1.0)])
    find = helping.nearest(conditions, jnp.tile(jnp.arange(3.0)[:, None], 16))
    assert [float(find(jnp.full((4, 60), x))[0]) for x in (-3.0, 0.4, 0.6)] == [0, 1, 2]


def test_no_motion_while_the_controller_would_do_something_else(monkeypatch, weights):
    # What the controller would do is asked of one that hears nobody: a strength would show in what it says.
    own = lambda model, weights, state, tick, settings: (Q + 0.02 + tick.strength, state, None)
    monkeypatch.setattr(controller, "act", own)
    helper = helping.agreed(MODEL, weights.replace(action_std=0.038), 0, SETTINGS)
    key = jax.random.PRNGKey(0)
    aims = jax.jit(lambda command, strength: helper.act(helper.reset(Q, Q), Q, Q, command, strength, key)[0])
    for wish, moves in ((0.05, True), (0.15, False)):
        np.testing.assert_allclose(aims(Q + wish, 1.0), Q + wish if moves else Q, atol=1e-6)


def test_who_is_cloned_is_as_large_as_the_controller():
    shapes = jax.eval_shape(lambda key: cloning.initial(MODEL, key), jax.random.PRNGKey(0))
    assert 1.1e6 < sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 1.3e6


def test_cloning_learns_what_was_recorded(weights, monkeypatch):
    monkeypatch.setattr(cloning, "WIDTH", 32)
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.normal(0, 0.02, (4, 200, 16)), axis=1).astype(np.float32)
    q = np.asarray(Q) + 0.1 * np.tanh(steps)
    flags = np.zeros((4, 200), np.uint8)
    columns = {"q": q, "target": q + 0.05, "mode": 0 * flags, "flags": flags}
    recording = windows.recording(columns, MODEL.history, MODEL.horizon, 0)
    learn = lambda steps: cloning.learn(MODEL, weights.normalizer, recording, jax.random.PRNGKey(0), steps, batch=32)
    parameters, loss = learn(200)
    _, begun = learn(2)
    assert loss < 0.3 * begun
    condition = jnp.zeros((MODEL.history, windows.condition_size(HAND)))
    assert cloning.policy(MODEL, parameters)(condition).shape == (16,)


def test_turning_down_needs_no_controller():
    helper = helping.turn_down(ListeningConfig(), 0.038)
    aim, _ = helper.act(helper.reset(Q, Q), Q, Q, Q, 0.0, None)
    np.testing.assert_array_equal(aim, Q)  # who wishes nothing moves nothing


def test_one_program_does_what_each_of_its_helpers_does():
    helpers = [helping.clip(), helping.low_pass(), helping.turn_down(ListeningConfig(), 0.038)]

    def two_ticks(helper):  # what it remembers of the first counts in the second
        aim, memory = helper.act(helper.reset(Q, Q), Q, Q, Q + WISH, 0.0, None)
        return helper.act(memory, Q, aim, aim - 3 * WISH, 0.0, None)[0]

    of_number = jax.jit(lambda which: two_ticks(helping.one_of(helpers, which)))
    aims = [of_number(jnp.int32(number)) for number in range(len(helpers))]
    np.testing.assert_allclose(aims, [two_ticks(helper) for helper in helpers], atol=1e-6)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in itertools.combinations(aims, 2))
