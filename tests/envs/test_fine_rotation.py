"""Laws: the object is paid for following a marker that turns about its long axis at the commanded speed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as wrappers

from dexgen_jax.defaults import override
from dexgen_jax.envs.fine_rotation import FineRotation, FineRotationConfig, long_axis, turned
from dexgen_jax.hand import rotation
from dexgen_jax.objects import catalog

COUNT, STEPS, STEP, LEAD = 16, 7, 0.05, 0.2
AXIS = jnp.array([0.0, 0.6, 0.8])


def quat(vector):
    return rotation.from_rotation_vector(jnp.asarray(vector))


@pytest.mark.parametrize("name, axis", [("cylinder_40_90", [0, 0, 1]), ("box_50_50_80", [0, 0, 1])])
def test_the_long_axis_is_that_of_the_length(name, axis):
    found = long_axis(jax.tree.map(jnp.asarray, catalog.load(name)))
    np.testing.assert_allclose(np.abs(found), axis, atol=1e-3)


def test_a_turn_about_the_axis_counts_however_the_object_lies():
    before = quat([0.3, -1.0, 0.5])
    after = rotation.multiply(before, quat(0.2 * AXIS))
    np.testing.assert_allclose(turned(before, after, AXIS), 0.2, atol=1e-5)
    np.testing.assert_allclose(turned(after, before, AXIS), -0.2, atol=1e-5)
    across = rotation.multiply(before, quat([0.2, 0.0, 0.0]))  # at a right angle to the axis
    np.testing.assert_allclose(turned(before, across, AXIS), 0.0, atol=1e-5)


@pytest.fixture(scope="module")
def env(engine, library):
    """The task on a physics that turns every object by 0.05 rad about its long axis in each step, and nothing else."""

    def turn(state, ctrl, world):
        n = ctrl.shape[0]
        after = rotation.multiply(state.qpos[n + 3 :], quat(STEP * long_axis(world.object)))
        return state.replace(qpos=state.qpos.at[n + 3 :].set(after))

    overrides = {"turn": 2.5 * STEP, "hold_steps": 2, "most_lead": LEAD, "speed": (0.4, 1.0)}
    overrides |= {"randomization.start_joints": 0.0}
    config = override(FineRotationConfig(), overrides)
    return FineRotation(config, dataclasses.replace(engine, advance=turn), library)


@pytest.fixture(scope="module")
def states(env):
    """An episode of environments at rest and two steps of the next, (STEPS + 3, COUNT, ...), as Brax wraps them."""
    wrapped = wrappers.wrap(env, episode_length=STEPS)
    first = jax.jit(wrapped.reset)(jax.random.split(jax.random.PRNGKey(0), COUNT))
    still = jnp.zeros((COUNT, env.action_size))
    step = lambda state, _: (then := wrapped.step(state, still), then)
    _, states = jax.jit(lambda s: jax.lax.scan(step, s, None, length=STEPS + 2))(first)
    return jax.tree.map(lambda a, b: np.concatenate([np.asarray(a)[None], np.asarray(b)]), first, states)


@pytest.fixture(scope="module")
def lived(states):
    """The episode alone, (STEPS + 1, COUNT, ...); Brax shows the first observation of the next at its end."""
    return jax.tree.map(lambda x: x[: STEPS + 1], states)


def test_commands_go_either_way_at_speeds_of_the_range(env, lived):
    command = lived.info["command"]
    assert (np.abs(command) >= 0.4).all() and (np.abs(command) <= 1.0).all()
    assert 0 < (command[0] > 0).sum() < COUNT
    assert lived.obs["state"].shape[2:] == env.observation_size["state"]


def test_turning_the_commanded_way_is_progress_and_the_other_way_is_not(lived):
    command = lived.info["command"][:-1]
    np.testing.assert_allclose(lived.metrics["turned"][1:], STEP * np.sign(command), atol=1e-5)
    gap = lived.info["marker"][:-1] + command / 10 - lived.info["angle"][:-1]
    expected = (np.abs(gap) - np.abs(gap - STEP)) / 0.4
    np.testing.assert_allclose(lived.metrics["reward_rotation"][1:], 2.0 * expected, atol=2e-3)
    np.testing.assert_allclose(lived.metrics["reward_position"], 0, atol=1e-5)
    terms = [value for name, value in lived.metrics.items() if name.startswith("reward_")]
    np.testing.assert_allclose(lived.reward, sum(terms), rtol=1e-4, atol=1e-5)


def test_the_marker_goes_ahead_waits_and_is_taken_along(lived):
    """By hand: it moves by the command, stays within its lead of the object, and a new command finds it there."""
    command, goals = lived.info["command"], lived.metrics["success"] > 0
    for lane in range(COUNT):
        marker, angle = 0.0, 0.0
        for step in range(STEPS):
            marker, angle = marker + command[step, lane] / 10, angle + STEP
            marker = angle if goals[step + 1, lane] else np.clip(marker, angle - LEAD, angle + LEAD)
            np.testing.assert_allclose(lived.info["marker"][step + 1, lane], marker, atol=1e-5)
            np.testing.assert_allclose(lived.info["angle"][step + 1, lane], angle, atol=1e-5)


def test_the_policy_sees_the_marker_as_a_goal(env, lived):
    before = 3 * env.action_size + 3 * env.hand.num_tips + 3  # joints, speeds, targets, fingertips, position
    seen = np.linalg.norm(lived.obs["state"][..., before : before + 3], axis=-1)
    ahead = np.abs(lived.info["marker"] - lived.info["angle"])
    np.testing.assert_allclose(seen[:-1], 2.0 * ahead[:-1], atol=4e-3)


def test_enough_of_a_turn_is_a_goal_and_draws_the_next_command(lived):
    goals, command = lived.metrics["success"][1:] > 0, lived.info["command"]
    # 2.5 steps of turning, held for 2: the fourth step of those with a command for this way, of the others none.
    np.testing.assert_array_equal(goals[:4].sum(0), command[0] > 0)
    assert not goals[:3].any()
    np.testing.assert_array_equal(command[1:] != command[:-1], goals)
    np.testing.assert_array_equal(lived.info["turned"][1:][goals], 0.0)
    np.testing.assert_array_equal(lived.info["goals"][-1], goals.sum(0))


def test_after_an_auto_reset_the_first_command_comes_again(states):
    for name in ("command", "marker", "angle", "turned", "held", "goals", "age", "goal"):
        value = states.info[name]
        np.testing.assert_array_equal(value[STEPS + 1 :], value[1:3], err_msg=name)


def test_the_time_limit_ends_it(lived):
    assert lived.info["steps"][-1].tolist() == [STEPS] * COUNT
    np.testing.assert_array_equal(lived.done[-1], 1)
    assert not lived.metrics["drop"].any()
