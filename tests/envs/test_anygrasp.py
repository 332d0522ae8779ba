"""Laws of the task: goals roll on, a drop is not a time limit, each reset is another grasp, nothing broken spreads."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training as wrappers

from dexgen_jax.envs import registry
from dexgen_jax.envs.anygrasp import Anygrasp, AnygraspConfig

COUNT = 6
STILL = {
    f"randomization.{name}": 0.0
    for name in ("start_joints", "push_probability", "joint_noise", "joint_offset", "action_noise", "gravity_walk")
}
EVERYWHERE = {"position_tolerance": 9.0, "angle_tolerance": 9.0, "joint_tolerance": 9.0}


@pytest.fixture(scope="module")
def env(make_env):
    return make_env()


@pytest.fixture(scope="module")
def started(env):
    return jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.PRNGKey(0), COUNT))


@pytest.fixture(scope="module")
def moved(env, started):
    action = jax.random.uniform(jax.random.PRNGKey(1), (COUNT, env.action_size), minval=-1.0)
    return action, jax.jit(jax.vmap(env.step))(started, action)


def test_a_step_gives_back_what_a_reset_does(env, started, moved):
    # Structure, shapes and types are those of a scan's carry.
    describe = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
    assert describe(started) == describe(moved[1])
    for name, (size,) in env.observation_size.items():
        assert started.obs[name].shape == (COUNT, size)
    assert env.observation_size["privileged_state"] > env.observation_size["state"]


def test_a_batch_is_its_members_one_by_one(env, started, moved):
    action, after = moved
    one = jax.jit(env.step)(jax.tree.map(lambda x: x[2], started), action[2])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[2], rtol=1e-5, atol=1e-5), one, after)


def test_the_same_key_and_actions_give_the_same_future(env, started, moved):
    again = jax.jit(jax.vmap(env.step))(started, moved[0])
    jax.tree.map(np.testing.assert_array_equal, again, moved[1])


def test_braxs_own_wrappers_run_it(env):
    wrapped = wrappers.EpisodeWrapper(wrappers.VmapWrapper(env), episode_length=2, action_repeat=1)
    state = jax.jit(wrapped.reset)(jax.random.split(jax.random.PRNGKey(0), 3))
    step = jax.jit(wrapped.step)
    actions = jnp.zeros((3, env.action_size))
    first = step(state, actions)
    second = step(first, actions)
    assert first.info["steps"].tolist() == [1, 1, 1] and first.done.tolist() == [0, 0, 0]
    assert second.done.tolist() == [1, 1, 1] and second.info["truncation"].tolist() == [1, 1, 1]
    np.testing.assert_allclose(second.info["episode_metrics"]["sum_reward"], first.reward + second.reward, rtol=1e-5)


def test_resets_are_other_grasps_in_other_worlds(env, started, library):
    many = jax.jit(jax.vmap(lambda k: env.reset(k).info))(jax.random.split(jax.random.PRNGKey(3), 200))
    starts = {tuple(row) for row in np.asarray(many["object_pose"])}
    assert starts <= {tuple(row) for row in np.asarray(library.object_pose)} and len(starts) > 60
    for value in (many["world"].mass, many["gravity"][:, 0], many["target"][:, 0]):
        assert len(np.unique(value)) > 60
    kinds = np.asarray(many["world"].object.kind[:, 0])
    assert len(np.unique(kinds)) == 2  # both objects are drawn
    assert np.abs(many["q"] - many["target"]).max() > 0.05  # targets press


def test_a_reset_is_at_its_grasp_with_a_goal_of_its_own_object(env, library):
    info = jax.jit(jax.vmap(lambda k: env.reset(k).info))(jax.random.split(jax.random.PRNGKey(4), 50))
    poses = np.asarray(library.object_pose)
    for i in range(50):
        row = int(np.flatnonzero((poses == np.asarray(info["object_pose"][i])).all(axis=1))[0])
        assert int(info["goal"][i]) in np.asarray(library.neighbours[row])
        np.testing.assert_array_equal(info["target"][i], library.target[row])
        assert np.abs(info["q"][i] - library.q[row]).max() <= 0.05 + 1e-6  # the paper's offset of the joints


def test_reward_is_the_sum_of_its_named_terms(moved):
    state = moved[1]
    terms = {name: value for name, value in state.metrics.items() if name.startswith("reward_")}
    names = "position rotation joints success drop action torque work tip_speed".split()
    assert set(terms) == {f"reward_{name}" for name in names}
    np.testing.assert_allclose(state.reward, sum(terms.values()), rtol=1e-5)
    assert all(np.abs(terms[f"reward_{name}"]).max() > 0 for name in ("position", "rotation", "joints", "torque"))


def test_targets_move_by_the_scaled_action_and_stay_within_limits(make_env):
    env = make_env(STILL)
    start = jax.jit(env.reset)(jax.random.PRNGKey(5))
    step = jax.jit(env.step)
    lower, upper = (jnp.asarray(x, jnp.float32) for x in (env.hand.lower, env.hand.upper))
    for action in (jnp.full(env.action_size, 0.5), jnp.full(env.action_size, -3.0)):
        after = step(start, action)
        expected = jnp.clip(start.info["target"] + 0.15 * jnp.clip(action, -1, 1), lower, upper)
        np.testing.assert_allclose(after.info["target"], expected, atol=1e-6)


def test_goals_roll_on_once_they_are_held(make_env, library):
    env = make_env({**STILL, **EVERYWHERE, "hold_steps": 3})  # every place counts as the goal
    step, zero = jax.jit(env.step), jnp.zeros(env.action_size)
    states = [jax.jit(env.reset)(jax.random.PRNGKey(6))]
    for _ in range(6):
        states.append(step(states[-1], zero))
    assert [int(s.metrics["success"]) for s in states[1:]] == [0, 0, 1, 0, 0, 1]
    assert [int(s.info["goals"]) for s in states] == [0, 0, 0, 1, 1, 1, 2]
    goals = [int(s.info["goal"]) for s in states]
    assert goals[0] == goals[1] == goals[2] and goals[3] in np.asarray(library.neighbours[goals[0]])
    assert goals[3] == goals[5] and goals[6] in np.asarray(library.neighbours[goals[3]])
    assert not any(s.done for s in states)
    np.testing.assert_allclose([s.metrics["reward_success"] for s in states[1:]], [0, 0, 10, 0, 0, 10])


def test_a_goal_passed_through_does_not_count(make_env):
    env = make_env({**STILL, "hold_steps": 2})  # ordinary tolerances: a start is never at its goal
    state = jax.jit(env.reset)(jax.random.PRNGKey(7))
    state = state.replace(info=state.info | {"held": jnp.ones((), jnp.int32)})  # it was there one step ago
    after = jax.jit(env.step)(state, jnp.zeros(env.action_size))
    assert int(after.info["held"]) == 0 and float(after.metrics["success"]) == 0


def test_the_time_limit_is_a_truncation_and_no_termination(make_env):
    env = make_env({**STILL, "episode_steps": 2})
    step, zero = jax.jit(env.step), jnp.zeros(env.action_size)
    first = step(jax.jit(env.reset)(jax.random.PRNGKey(8)), zero)
    second = step(first, zero)
    assert (float(first.info["truncation"]), float(second.info["truncation"])) == (0, 1)
    assert float(second.done) == 0


@pytest.mark.parametrize("age", [0, 199])
def test_a_drop_is_a_termination_and_no_truncation_even_at_the_time_limit(env, started, age):
    state = jax.tree.map(lambda x: x[0], started)
    n = env.hand.num_joints
    physics = state.pipeline_state
    fallen = physics.replace(qpos=physics.qpos.at[n : n + 3].add(jnp.array([-0.2, 0.0, 0.0])))
    state = state.replace(pipeline_state=fallen, info=state.info | {"age": jnp.asarray(age, jnp.int32)})
    after = jax.jit(env.step)(state, jnp.zeros(env.action_size))
    assert (float(after.done), float(after.info["truncation"]), float(after.metrics["drop"])) == (1, 0, 1)
    np.testing.assert_allclose(after.metrics["reward_drop"], -3.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
def test_a_simulation_that_blows_up_ends_the_episode_and_spreads_nothing(engine, library, value):
    def blow_up(state, ctrl, world):
        return state.replace(qpos=state.qpos + 0.01, qvel=jnp.full_like(state.qvel, value))

    env = Anygrasp(AnygraspConfig(), dataclasses.replace(engine, advance=blow_up), library)
    start = jax.jit(env.reset)(jax.random.PRNGKey(9))
    after = jax.jit(env.step)(start, jnp.ones(env.action_size))
    assert (float(after.metrics["blown_up"]), float(after.done), float(after.info["truncation"])) == (1, 1, 0)
    assert not bool(after.pipeline_state.finite)
    np.testing.assert_array_equal(after.pipeline_state.qpos, start.pipeline_state.qpos)
    for leaf in jax.tree.leaves((after.obs, after.reward, after.metrics, after.info)):
        assert np.isfinite(leaf).all() and np.abs(np.asarray(leaf, float)).max() < 1e10  # keys are large integers


def test_settings_are_overridden_by_dotted_names_and_typos_answered(engine, library):
    load = lambda name, overrides: registry.load(name, overrides, engine=engine, library=library)  # noqa: E731
    env = load("anygrasp", {"randomization.mass": [0.1, 0.2], "reward": {"drop": -7.0}, "episode_steps": 9})
    assert env.config.randomization.mass == (0.1, 0.2) and env.config.reward.drop == -7.0
    assert env.config.episode_steps == 9 and AnygraspConfig().episode_steps == 200
    with pytest.raises(ValueError, match="AnygraspConfig has no setting 'episode_step'; did you mean episode_steps"):
        load("anygrasp", {"episode_step": 3})
    with pytest.raises(ValueError, match="RandomizationConfig has no setting 'masss'; did you mean mass"):
        load("anygrasp", {"randomization.masss": 3})
    with pytest.raises(ValueError, match="AnygraspConfig.episode_steps has no setting 'x': it is a plain value"):
        load("anygrasp", {"episode_steps.x": 3})
    with pytest.raises(ValueError, match="no task named 'anygrsp'; did you mean anygrasp"):
        load("anygrsp", {})
