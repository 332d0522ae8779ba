import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.evaluation import operators
from dexgen_jax.hand import allegro, kinematics

HAND = allegro.load()
WANTED = jnp.zeros(16).at[:2].set(jnp.array([0.2, -0.4]))


def _many(operator, count=4000):
    keys = jax.random.split(jax.random.PRNGKey(0), count)
    return np.asarray(jax.vmap(lambda key: operator.act(HAND, operator.reset(HAND), WANTED, key)[0])(keys))


def _once(operator, wanted=WANTED):
    return operator.act(HAND, operator.reset(HAND), wanted, jax.random.PRNGKey(0))[0]


def _in_turn(operator, wanted):
    """Its actions (steps, n) for the expert's `wanted` (steps, n)."""

    def step(memory, now):
        action, memory = operator.act(HAND, memory, *now)
        return memory, action

    keys = jax.random.split(jax.random.PRNGKey(1), len(wanted))
    return np.asarray(jax.lax.scan(step, operator.reset(HAND), (wanted, keys))[1])


def test_the_expert_itself_and_stillness():
    np.testing.assert_allclose(_once(operators.clean()), WANTED)
    np.testing.assert_allclose(_once(operators.clean(2.0)), 2 * WANTED)
    np.testing.assert_array_equal(_once(operators.still()), 0)


def test_noise_is_uniform_around_the_expert_and_its_own_on_every_joint():
    acts = _many(operators.noisy(0.3)) - np.asarray(WANTED)
    assert np.abs(acts).max() <= 0.3 + 1e-6
    np.testing.assert_allclose(acts.std(0), 0.3 / np.sqrt(3), rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(acts.T), np.eye(16), atol=0.06)


def test_slowness_scales_all_joints_alike():
    acts = _many(operators.slow(0.5))
    gain = acts[:, 0] / 0.2
    np.testing.assert_allclose(acts[:, 1], -0.4 * gain, atol=1e-6)
    assert gain.min() >= 0 and gain.max() <= 0.5
    np.testing.assert_allclose(gain.mean(), 0.25, atol=0.01)


def test_a_jerky_operators_noise_lasts_a_second():
    drift = _in_turn(operators.parse("jerky 0.2"), jnp.zeros((4000, 16)))[100:]
    np.testing.assert_allclose(drift.std(), 0.2, rtol=0.05)
    for steps in (1, 10):
        kept = np.mean(drift[steps:] * drift[:-steps]) / np.mean(drift**2)
        np.testing.assert_allclose(kept, 0.9**steps, atol=0.05)


def test_a_late_operator_does_what_the_expert_wanted_before():
    wanted = jnp.tile(jnp.linspace(-1, 1, 20)[:, None], 16)
    acts = _in_turn(operators.parse("late 0.3"), wanted)
    np.testing.assert_array_equal(acts[:3], 0)  # nothing was wanted yet
    np.testing.assert_allclose(acts[3:], wanted[:-3])
    np.testing.assert_allclose(_in_turn(operators.parse("late 0"), wanted), wanted)


def test_a_frozen_finger_does_nothing_and_the_others_all_they_want():
    acts = np.asarray(_once(operators.parse("frozen 1", HAND), jnp.full(16, 0.5)))
    of_finger = kinematics.joints_that_move(HAND)[:, 1]
    assert of_finger.sum() == 4
    np.testing.assert_array_equal(acts, np.where(of_finger, 0.0, 0.5))
    with pytest.raises(ValueError, match="no finger 4: hand 'allegro' has 0 to 3"):
        operators.parse("frozen 4", HAND)


def test_a_squeezing_hand_closes_and_opens_twice_in_four_seconds():
    acts = _in_turn(operators.parse("squeezing 0.4"), jnp.zeros((40, 16)))
    fastest = np.abs(HAND.prior.closing).argmax()
    wave = 0.4 * np.sin(2 * np.pi * np.arange(40) / 20) * np.sign(HAND.prior.closing[fastest])
    np.testing.assert_allclose(acts[:, fastest], wave, atol=1e-6)
    closing = HAND.prior.closing / np.abs(HAND.prior.closing).max()
    np.testing.assert_allclose(acts[5], 0.4 * closing, atol=1e-6)


def test_actions_never_leave_the_allowed_range():
    assert np.abs(_many(operators.noisy(1.5))).max() == 1.0
    assert (np.abs(_many(operators.noisy(1.5))) == 1.0).mean() > 0.1


def test_all_operators_run_in_one_compiled_program():
    traces = []

    @jax.jit
    def act(operator, key):
        traces.append(1)
        return operator.act(HAND, operator.reset(HAND), WANTED, key)

    for name in (
        "noisy 0.75",
        "noisy 1.5",
        "slow 0.5",
        "clean",
        "jerky 0.6",
        "late 0.2",
        "frozen 2",
        "squeezing 1",
        "still",
        "random",
    ):
        act(operators.parse(name), jax.random.PRNGKey(0))
    assert len(traces) == 1


@pytest.mark.parametrize("name", ["nosy 0.75", "noisy", "noisy much", "still 3", "late 0.6", "frozen 0.5", "misled 2"])
def test_an_unknown_operator_is_named_with_the_known_ones(name):
    with pytest.raises(ValueError, match=f"no operator '{name}'; an operator is one of noisy, slow, clean"):
        operators.parse(name)
