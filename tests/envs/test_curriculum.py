"""Laws: the level moves by success alone, stays within 0 and 1, and level 1 is the configured task."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.defaults import override
from dexgen_jax.envs import curriculum
from dexgen_jax.envs.anygrasp import AnygraspConfig
from dexgen_jax.envs.curriculum import CurriculumConfig
from dexgen_jax.experts import ppo, rollout
from dexgen_jax.experts.networks import ActorCritic, NetworkConfig
from dexgen_jax.physics import world as worlds

CONFIG = CurriculumConfig(start=0.5, step=0.1, rise_at=4.0, fall_at=2.0)


@pytest.mark.parametrize(
    "level, goals, expected",
    [(0.5, 4.1, 0.6), (0.5, 4.0, 0.5), (0.5, 2.0, 0.5), (0.5, 1.9, 0.4), (1.0, 9.0, 1.0), (0.0, 0.0, 0.0)],
)
def test_the_level_moves_by_success_within_its_bounds(level, goals, expected):
    np.testing.assert_allclose(curriculum.advance(jnp.float32(level), jnp.float32(goals), CONFIG), expected, atol=1e-6)


def test_without_a_step_the_level_stays():
    still = CurriculumConfig()
    assert [float(curriculum.advance(jnp.ones(()), jnp.float32(goals), still)) for goals in (0, 100)] == [1, 1]


def test_what_a_level_makes_of_the_task_by_hand():
    config = CurriculumConfig(tolerance=1.5, gravity_angle=0.5)
    # A quarter of the way: tolerances 1.5 - 0.25 * 0.5, gravity 0.5 + 0.25 * (2.5 - 0.5).
    np.testing.assert_allclose(curriculum.tolerance_factor(config, jnp.float32(0.25)), 1.375)
    np.testing.assert_allclose(curriculum.gravity_angle(config, 2.5, jnp.float32(0.25)), 1.0)
    np.testing.assert_allclose(curriculum.tolerance_factor(config, jnp.float32(1)), 1.0)
    np.testing.assert_allclose(curriculum.gravity_angle(config, 2.5, jnp.float32(1)), 2.5)
    # A task that keeps the palm up is not made wider by its curriculum.
    np.testing.assert_allclose(curriculum.gravity_angle(config, 0.2, jnp.float32(0)), 0.2)


def test_the_nearest_goal_counts_at_level_0_any_at_level_1():
    keys, far = jax.random.split(jax.random.PRNGKey(0), 1000), jnp.array([3.0, 1.0, 2.0])
    share = lambda level: np.mean(jax.vmap(lambda key: curriculum.choose(key, far, level))(keys) == 1)
    assert share(0.0) == 1 and share(1.0) == 0
    np.testing.assert_allclose(share(0.5), 0.5, atol=0.05)


def test_settings_that_make_no_curriculum_are_refused():
    with pytest.raises(ValueError, match="CurriculumConfig.start is 2: it must be from 0 to 1"):
        CurriculumConfig(start=2)
    with pytest.raises(ValueError, match="CurriculumConfig.tolerance is -1: it must be above 0"):
        CurriculumConfig(tolerance=-1)
    with pytest.raises(ValueError, match="fall_at <= rise_at"):
        CurriculumConfig(rise_at=1.0, fall_at=2.0)


def test_settings_that_belong_together_are_changed_together():
    both = override(AnygraspConfig(), {"curriculum.fall_at": 5.0, "curriculum.rise_at": 6.0})
    assert (both.curriculum.fall_at, both.curriculum.rise_at) == (5.0, 6.0)  # 5 alone is above the default's 4
    with pytest.raises(ValueError, match="fall_at <= rise_at"):
        override(AnygraspConfig(), {"curriculum.fall_at": 5.0})


@pytest.fixture(scope="module")
def training(make_env):
    """A task in which every place is its goal, its curriculum and the states of a short training."""
    everywhere = {f"{name}_tolerance": 9.0 for name in ("position", "angle", "joint")}
    start = {"curriculum": {"start": 0.0, "step": 0.25, "gravity_angle": 0.0}, "hold_steps": 1, "episode_steps": 2}
    env = make_env(everywhere | start)
    networks = ActorCritic(NetworkConfig(actor=(8,), critic=(8,)), env.action_size)
    config = ppo.PPOConfig(num_envs=8, unroll_length=2, epochs=1, minibatches=1)
    state = jax.jit(lambda key: ppo.init(env, networks, config, key, 2))(jax.random.PRNGKey(0))
    learn, states = jax.jit(lambda state: ppo.iteration(env, networks, config, state)), [state]
    for _ in range(5):
        states.append(learn(states[-1])[0])
    return states


@pytest.mark.slow
def test_the_level_of_a_training_rises_with_its_success_and_outlives_episodes(training):
    levels = [state.env.info["level"] for state in training]
    np.testing.assert_allclose(levels, np.tile([[0], [0.25], [0.5], [0.75], [1], [1]], (1, 8)))


@pytest.mark.slow
def test_gravity_widens_with_the_level(training):
    away = [np.abs(s.env.info["gravity"] - jnp.array(worlds.PALM_UP)[None]).max() for s in training]
    assert away[0] == 0 and away[-1] > 0.5


@pytest.mark.slow
def test_every_episode_of_a_training_starts_elsewhere(training):
    """An episode is as long as a rollout: 6 states of 8 environments are of 48 episodes; test_resets.py has more."""
    for read in (lambda info: info["world"].mass, lambda info: info["joint_offset"][..., 0]):
        assert len(np.unique([read(state.env.info) for state in training])) == 6 * 8


def test_what_is_not_trained_on_has_the_full_task(make_env):
    env = make_env({"curriculum.start": 0.0})
    level = jax.eval_shape(env.reset, jax.random.PRNGKey(0)).info["level"]
    assert level.shape == ()
    level = jax.jit(lambda key: rollout.start(env, key, 2, 9).info["level"])(jax.random.PRNGKey(0))
    np.testing.assert_array_equal(level, 1.0)
    assert dataclasses.asdict(env.config)["curriculum"]["start"] == 0.0
