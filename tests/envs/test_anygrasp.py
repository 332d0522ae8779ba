"""Laws of the task: goals roll on, a drop is not a time limit, each reset is another grasp, nothing broken spreads.

Compiling a reset or a step takes seconds, so the tests share few of them: one reset, one step as it is, one without
noise whose goals are as near or as far as a test wants.
"""

import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.defaults import override
from dexgen_jax.envs import observations, registry
from dexgen_jax.envs.anygrasp import Anygrasp, AnygraspConfig
from dexgen_jax.envs.rewards import RewardWeights
from dexgen_jax.hand import rotation
from dexgen_jax.objects import catalog

COUNT = 64  # resets
FEW = 4  # of them are stepped
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
def few(started):
    return jax.tree.map(lambda x: x[:FEW], started)


@pytest.fixture(scope="module")
def step(env):
    return jax.jit(jax.vmap(env.step))


@pytest.fixture(scope="module")
def moved(step, few):
    action = jax.random.uniform(jax.random.PRNGKey(1), few.info["target"].shape, minval=-1.0)
    return action, step(few, action)


@pytest.fixture(scope="module")
def plain_step(engine, library):
    """`plain_step(angle_tolerance, states, actions)`: every place is a goal, but for the angle; the time is 6 steps.

    Where a warm start is no acceleration, the simulation blows up: it is the speed that comes out.
    """

    def advance(state, ctrl, world):
        wild = ~(jnp.abs(state.warmstart) < 1e10).all()
        after = engine.advance(state.replace(warmstart=jnp.where(wild, 0.0, state.warmstart)), ctrl, world)
        return after.replace(qvel=jnp.where(wild, state.warmstart, after.qvel))

    config = override(AnygraspConfig(), {**STILL, **EVERYWHERE, "hold_steps": 3, "goal_steps": 2, "episode_steps": 6})
    env = Anygrasp(config, dataclasses.replace(engine, advance=advance), library)

    def step(angle_tolerance, state, action):
        stricter = copy.copy(env)
        stricter.config = dataclasses.replace(config, angle_tolerance=angle_tolerance)
        return stricter.step(state, action)

    return jax.jit(jax.vmap(step))


@pytest.fixture(scope="module")
def six_steps(plain_step, few):
    """Actions and states: lane 0 is everywhere at its goal, lane 1 nowhere; what others do does not matter."""
    tolerance = jnp.array([9.0, 1e-6, 9.0, 9.0])
    states, zero = [few], jnp.zeros_like(few.info["target"])
    actions = [zero.at[0].set(0.5), zero.at[0].set(-3.0), zero, zero, zero, zero]
    for action in actions:
        states.append(plain_step(tolerance, states[-1], action))
    lane = lambda i: [jax.tree.map(lambda x: x[i], state) for state in states]
    return [action[0] for action in actions], lane(0), lane(1)


@pytest.fixture(scope="module")
def rolling(six_steps):
    return six_steps[:2]


def test_a_goal_that_takes_too_long_is_given_up_for_another_of_the_same_grasp(six_steps, library):
    states = six_steps[2]
    assert [float(state.metrics["given_up"]) for state in states[1:]] == [0, 1, 0, 1, 0, 1]
    goals, origins = ([int(state.info[name]) for state in states] for name in ("goal", "origin"))
    assert len(set(origins)) == 1 and set(goals) <= set(np.asarray(library.neighbours[origins[0]]).tolist())
    assert goals[0] == goals[1] and goals[2] == goals[3] and len(set(goals)) > 1


def test_a_step_gives_back_what_a_reset_does(env, few, moved):
    # Structure, shapes and types are those of a scan's carry.
    describe = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert describe(few) == describe(moved[1])
    for name, (size,) in env.observation_size.items():
        assert few.obs[name].shape == (FEW, size)
    assert env.observation_size["privileged_state"] > env.observation_size["state"]


def test_the_same_state_and_action_give_the_same_future_wherever_they_stand_in_a_batch(step, few, moved):
    action, after = moved
    backwards = step(*jax.tree.map(lambda x: x[::-1], (few, action)))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[::-1], b), backwards, after)


def test_resets_are_other_grasps_in_other_worlds(started, library):
    info = started.info
    starts = {tuple(row) for row in np.asarray(info["object_pose"])}
    assert starts <= {tuple(row) for row in np.asarray(library.object_pose)} and len(starts) > COUNT / 2
    for value in (info["world"].mass, info["gravity"][:, 0], info["target"][:, 0]):
        assert len(np.unique(value)) > COUNT / 2
    assert len(np.unique(info["world"].object.kind[:, 0])) == 2  # both objects are drawn


def test_a_reset_is_at_its_grasp_with_a_goal_of_its_own_object(env, started, library):
    info, poses = started.info, np.asarray(library.object_pose)
    for i in range(COUNT):
        row = int(np.flatnonzero((poses == np.asarray(info["object_pose"][i])).all(axis=1))[0])
        assert int(info["goal"][i]) in np.asarray(library.neighbours[row])
        np.testing.assert_array_equal(info["target"][i], library.target[row])
        held = np.clip(library.q[row], env.hand.lower, env.hand.upper)  # fingers press a little beyond their limits
        assert np.abs(info["q"][i] - held).max() <= 0.05 + 1e-6  # the paper's offset of the joints


def test_reward_is_the_sum_of_its_named_terms(moved):
    state = moved[1]
    terms = {name: value for name, value in state.metrics.items() if name.startswith("reward_")}
    assert set(terms) == {f"reward_{field.name}" for field in dataclasses.fields(RewardWeights)}
    np.testing.assert_allclose(state.reward, sum(terms.values()), rtol=1e-5)
    assert all(np.abs(terms[f"reward_{name}"]).max() > 0 for name in ("position", "rotation", "joints", "torque"))


def test_what_comes_nearer_to_the_goal_earns_and_what_goes_away_costs(few, moved, library):
    @jax.jit
    @jax.vmap
    def sizes(qpos, goal):
        here = qpos[:16], qpos[16:]
        return observations.goal_error(*here, library.q[goal], library.object_pose[goal]).sizes()

    goal, after = few.info["goal"], moved[1]
    errors = zip(sizes(few.pipeline_state.qpos, goal), sizes(after.pipeline_state.qpos, goal), strict=True)
    units = {"position": 0.02, "rotation": 0.4, "joints": 0.3}
    for (name, unit), (before, then) in zip(units.items(), errors, strict=True):
        earned = getattr(RewardWeights(), name) * (before - then) / unit
        np.testing.assert_allclose(after.metrics[f"reward_{name}"], earned, atol=1e-4)
        assert np.abs(earned).max() > 1e-3


def test_the_actor_reads_joints_with_the_episodes_offset_and_noise(env, few, library):
    one, quiet = jax.tree.map(lambda x: x[0], few), copy.copy(env)
    quiet.config = override(env.config, {"randomization.joint_noise": 0.0})
    read = lambda task: task._read(jax.random.PRNGKey(0), one.pipeline_state, jnp.full(16, 0.01))
    noisy, plain = read(env), read(quiet)
    np.testing.assert_allclose(plain, one.info["q"] + 0.01, atol=1e-6)
    assert 0.01 < np.std(noisy - plain) < 0.05  # 0.025 rad, 16 draws
    # In `state` behind joints, speeds, errors, tips and the object's way: the joints' way, from what is read.
    way = library.q[few.info["goal"]] - few.info["reading"]
    np.testing.assert_allclose(few.obs["state"][:, 66:82], way, atol=1e-6)


def test_targets_move_by_the_scaled_action_and_stay_within_limits(env, rolling):
    actions, states = rolling
    lower, upper = (jnp.asarray(x, jnp.float32) for x in (env.hand.lower, env.hand.upper))
    for action, before, after in zip(actions, states, states[1:], strict=False):
        expected = jnp.clip(before.info["target"] + 0.15 * jnp.clip(action, -1, 1), lower, upper)
        np.testing.assert_allclose(after.info["target"], expected, atol=1e-6)


def test_goals_roll_on_once_they_are_held(rolling, library):
    _, states = rolling
    assert [int(s.metrics["success"]) for s in states[1:]] == [0, 0, 1, 0, 0, 1]
    assert [int(s.info["goals"]) for s in states] == [0, 0, 0, 1, 1, 1, 2]
    goals = [int(s.info["goal"]) for s in states]
    assert goals[0] == goals[1] == goals[2] and goals[3] in np.asarray(library.neighbours[goals[0]])
    assert goals[3] == goals[5] and goals[6] in np.asarray(library.neighbours[goals[3]])
    np.testing.assert_allclose([s.metrics["reward_success"] for s in states[1:]], [0, 0, 10, 0, 0, 10])


def test_the_time_limit_is_a_truncation_and_no_termination(rolling):
    _, states = rolling
    assert [float(s.info["truncation"]) for s in states] == [0, 0, 0, 0, 0, 0, 1]
    assert not any(s.done for s in states)


def test_a_goal_passed_through_does_not_count(step, few):
    # Each was at its goal one step ago, and a start is never within the tolerance of its goal.
    there = few.replace(info=few.info | {"held": jnp.ones(FEW, jnp.int32)})
    after = step(there, jnp.zeros_like(few.info["target"]))
    assert not after.info["held"].any() and not after.metrics["success"].any()


def test_a_drop_is_a_termination_and_no_truncation_even_at_the_time_limit(env, step, few):
    n, limit = env.hand.num_joints, env.config.episode_steps
    fallen = few.pipeline_state.replace(qpos=few.pipeline_state.qpos.at[1:3, n].add(-0.2))
    age = jnp.array([0, 0, limit - 1, limit - 1])
    after = step(few.replace(pipeline_state=fallen, info=few.info | {"age": age}), jnp.zeros_like(few.info["target"]))
    assert after.done.tolist() == after.metrics["drop"].tolist() == [0, 1, 1, 0]
    assert after.info["truncation"].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(after.metrics["reward_drop"], [0, -3, -3, 0])


def test_a_simulation_that_blows_up_ends_the_episode_and_spreads_nothing(plain_step, few):
    speed = jnp.array([jnp.nan, jnp.inf, 1e12, 0.0])
    before = few.pipeline_state
    wild = before.replace(warmstart=jnp.tile(speed[:, None], (1, before.qvel.shape[1])))
    still = jnp.zeros_like(few.info["target"])
    after = plain_step(jnp.full(FEW, 9.0), few.replace(pipeline_state=wild), still)
    assert after.metrics["blown_up"].tolist() == after.done.tolist() == [1, 1, 1, 0]
    assert not after.info["truncation"].any()
    np.testing.assert_array_equal(after.pipeline_state.qpos[:3], before.qpos[:3])
    assert np.abs(after.pipeline_state.qpos[3] - before.qpos[3]).max() > 0
    for leaf in jax.tree.leaves((after.obs, after.reward, after.metrics, after.info)):
        assert np.isfinite(leaf).all() and np.abs(np.asarray(leaf, float)).max() < 1e10  # keys are large integers


def test_settings_are_overridden_by_dotted_names_and_typos_answered(engine, library):
    load = lambda name, overrides: registry.make(name, overrides, engine=engine, library=library)
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


def test_grasps_that_do_not_belong_to_the_engine_are_refused(engine, library):
    load = lambda library: registry.make("anygrasp", engine=engine, library=library)
    with pytest.raises(ValueError, match="for a hand of 9 joints and for 2 objects.*'allegro' of 16 joints.*load the"):
        load(library.replace(q=library.q[:, :9]))
    with pytest.raises(ValueError, match="for 8 objects, the engine has hand 'allegro' of 16 joints and 2 objects"):
        load(library.replace(object_index=library.object_index + 6))


def test_an_actor_that_sees_all_sees_what_it_saw_before_and_then_the_rest(make_env, env, moved):
    shown = make_env({"sees_all": True})
    after = moved[1]
    more = jax.jit(jax.vmap(shown.observe))(after.pipeline_state, after.info)
    (known,), (all_of_it,) = env.observation_size["state"], shown.observation_size["state"]
    np.testing.assert_allclose(more["state"][:, :known], after.obs["state"], atol=1e-5)
    # joints, torques, touch, push, five of the world, distance and normal at eight keypoints, how long held and set,
    # and for the joints and their targets the way that geometry suggests; the object's box, its turning, firm touch
    touches = len(env.hand.touch_names)
    again = 3 + 3 + touches
    assert all_of_it == known + 2 * 16 + touches + 3 + 5 + 8 + 24 + 2 + 2 * 16 + again
    np.testing.assert_array_equal(more["state"][:, known : known + 16], after.info["q"])
    np.testing.assert_allclose(more["privileged_state"], after.obs["privileged_state"], atol=1e-5)
    np.testing.assert_array_equal(more["privileged_state"], more["state"])
    *_, age, carry, grip, box, turning, touch = np.split(
        more["state"], np.cumsum([all_of_it - again - 33, 1, 16, 16, 3, 3]), axis=1
    )
    np.testing.assert_allclose(age, 0.01)  # the first control step of this goal
    np.testing.assert_allclose(carry, 0.15 * more["carry"], rtol=1e-5)  # as an action, too
    np.testing.assert_allclose(grip, env.library.target[after.info["goal"]] - after.info["target"], atol=1e-6)
    physics = after.pipeline_state
    pose = physics.qpos[:, 16:]
    np.testing.assert_allclose(2 * turning, rotation.rotate(pose[:, 3:], physics.qvel[:, -3:]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(touch, np.tanh(physics.touch / 10), rtol=1e-5)
    np.testing.assert_allclose(box / 20, jax.vmap(observations.half_box)(after.info["world"].object), rtol=1e-5)


@pytest.mark.parametrize(
    "name, box",
    [
        ("sphere_64", (32, 32, 32)),
        ("cylinder_48_70", (24, 24, 35)),
        ("capsule_44_90", (22, 22, 45)),
        ("box_48_56_64", (24, 28, 32)),
    ],
)
def test_the_box_of_a_shape_is_seen_in_its_own_axes(name, box):
    np.testing.assert_allclose(observations.half_box(catalog.load(name)), np.asarray(box) * 1e-3, atol=1e-6)


def test_a_policy_is_shown_its_style_if_it_is_to_learn_all(make_env, env):
    shown = make_env({"style": {"tip_speed": (0.0, 3.0), "shown": True}})
    for name, (size,) in env.observation_size.items():
        assert shown.observation_size[name] == (size + 2,)
