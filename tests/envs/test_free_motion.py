"""Laws: lines are smooth and end at rest, the hand follows them, and there is no object."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as wrappers

from dexgen_jax.envs import registry
from dexgen_jax.envs.free_motion import follow, line

COUNT, STEPS = 8, 40


@pytest.fixture(scope="module")
def env(engine, library):
    return registry.make("free_motion", {"episode_steps": STEPS}, engine=engine, library=library)


@pytest.fixture(scope="module")
def states(env):
    """Environments follow their lines for an episode and two steps, (STEPS + 3, COUNT, ...), as Brax wraps them."""
    wrapped = wrappers.wrap(env, episode_length=STEPS)
    first = jax.jit(wrapped.reset)(jax.random.split(jax.random.PRNGKey(0), COUNT))
    step = lambda state, _: (then := wrapped.step(state, follow(state.obs)), then)
    _, states = jax.jit(lambda s: jax.lax.scan(step, s, None, length=STEPS + 2))(first)
    return jax.tree.map(lambda a, b: np.concatenate([np.asarray(a)[None], np.asarray(b)]), first, states)


@pytest.fixture(scope="module")
def lived(states):
    """The episode alone, (STEPS + 1, COUNT, ...)."""
    return jax.tree.map(lambda x: x[: STEPS + 1], states)


def test_a_line_by_hand():
    info = {"origin": jnp.zeros(2), "destination": jnp.array([1.0, -2.0]), "duration": 2.0, "elapsed": 0.5}
    # A quarter of the time: 0.25^3 (10 - 15 / 4 + 6 / 16) = 0.103515625; half of it: one half.
    np.testing.assert_allclose(line(info, 0.0), [0.103515625, -0.20703125], rtol=1e-6)
    np.testing.assert_allclose(line(info, 0.5), [0.5, -1.0], rtol=1e-6)
    np.testing.assert_allclose(line(info, 9.0), [1.0, -2.0])  # stays at its end


def test_a_line_starts_and_ends_at_rest():
    info = {"origin": jnp.zeros(1), "destination": jnp.ones(1), "duration": 1.0}
    speed = jax.vmap(jax.jacfwd(lambda t: line(info | {"elapsed": t}, 0.0)[0]))(jnp.array([0.0, 0.5, 1.0 - 1e-4]))
    np.testing.assert_allclose(speed, [0.0, 1.875, 0.0], atol=1e-3)


def test_targets_are_on_the_line_up_to_the_noise_of_actions(env, lived):
    on_line = jax.vmap(jax.vmap(lambda info: line(info, 0.0)))(lived.info)
    off = np.abs(lived.info["target"][1:] - on_line[1:])
    arrived = (lived.info["elapsed"] == 0)[1:]  # there the next line has begun
    limit = 5 * env.config.randomization.action_noise * env.config.action_scale
    # A fast line may ask for more than an action can do; most of the time it does not.
    assert np.median(off[~arrived]) < limit and (off[~arrived] < limit).mean() > 0.9


def test_after_an_auto_reset_the_first_line_comes_again(env, states):
    for name in ("origin", "destination", "duration", "elapsed", "age", "goal"):
        value = states.info[name]
        np.testing.assert_array_equal(value[STEPS + 1 :], value[1:3], err_msg=name)
    off = np.abs(states.info["target"][STEPS + 1 :] - states.info["target"][1:3])
    assert off.max() < 20 * env.config.randomization.action_noise * env.config.action_scale


def test_the_hand_follows_and_reaches_most_postures(lived):
    goals, arrivals = lived.info["goals"][-1].sum(), (lived.info["elapsed"][1:] == 0).sum()
    assert arrivals > COUNT and goals > 0.5 * arrivals


def test_postures_are_within_their_share_of_the_range(env, lived):
    middle, half = (env.hand.upper + env.hand.lower) / 2, (env.hand.upper - env.hand.lower) / 2
    share = (lived.info["destination"] - middle) / half
    assert np.abs(share).max() <= 0.8 + 1e-5 and np.abs(share).max() > 0.7


def test_there_is_no_object_and_nothing_to_drop(lived):
    np.testing.assert_array_equal(
        lived.info["object_pose"], np.broadcast_to([1, 0, 0, 1, 0, 0, 0], (STEPS + 1, COUNT, 7))
    )
    assert not lived.info["world"].object.on.any()
    assert not lived.metrics["drop"].any() and not lived.metrics["blown_up"].any()
    np.testing.assert_array_equal(lived.done[-1], 1)  # the time limit, nothing before it
    assert not lived.done[:-1].any()
