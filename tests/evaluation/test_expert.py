"""Laws: every event is counted once in each split, and the baselines do what their names say."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_env import FakeEnv

from dexgen_jax.evaluation import expert as evaluation
from dexgen_jax.evaluation.expert import Events
from dexgen_jax.experts.networks import ActorCritic, Expert, NetworkConfig, RunningStats

ENVS, STEPS = 4, 30


@pytest.fixture(scope="module")
def env():
    env = FakeEnv(goal_steps=5, episode_steps=1000)
    n = env.hand.num_joints
    library = type("Library", (), {})()
    library.object_index, library.object_pose = env.library.object_index, env.library.object_pose
    library.q = library.target = jnp.tile(jnp.asarray(env.hand.lower + env.hand.upper, jnp.float32) / 2, (3, 1))
    env.library = library
    assert library.q.shape == (3, n)
    return env


@pytest.fixture(scope="module")
def choices(env):
    networks = ActorCritic(NetworkConfig(actor=(8,), critic=(8,)), env.action_size)
    params = networks.init(jax.random.PRNGKey(0), {"state": env.action_size, "privileged_state": 1})
    stats = {"state": RunningStats.zeros(env.action_size)}
    return evaluation.actors(env, Expert.of(networks, params, stats, env={}))


@pytest.fixture(scope="module")
def simulated(env, choices):
    run = jax.jit(
        lambda which: evaluation.simulate(env, list(choices.values()), which, jax.random.PRNGKey(1), ENVS, STEPS)
    )
    return {name: jax.device_get(run(i)) for i, name in enumerate(choices)}


def test_baselines_do_what_their_names_say(env, choices):
    state = jax.vmap(env.reset)(jax.random.split(jax.random.PRNGKey(0), ENVS))
    key = jax.random.PRNGKey(2)
    np.testing.assert_array_equal(choices["zero action"](state, key), 0)
    random = choices["random"](state, key)
    assert random.shape == (ENVS, env.action_size) and random.min() < -0.8 and random.max() > 0.8
    action = choices["straight to the goal's joints"](state, key)
    there = jax.vmap(env.step)(state, action).info["target"]  # near enough to be reached in one step
    np.testing.assert_allclose(there, env.library.target[:1].repeat(ENVS, 0), atol=1e-5)
    np.testing.assert_array_equal(choices["expert"](state, key).shape, (ENVS, env.action_size))


def test_a_still_hand_moves_no_fingertip_and_random_motion_drops(simulated):
    np.testing.assert_allclose(simulated["zero action"].tip_speed[1:], 0, atol=1e-5)
    assert simulated["random"].tip_speed.mean() > 0.1
    assert not simulated["zero action"].drop.any() and simulated["random"].drop.any()


def test_goals_are_counted_as_the_task_counts_them(simulated):
    # A goal every five steps of an episode, and a still hand has but one episode.
    np.testing.assert_array_equal(simulated["zero action"].goal.sum(0), STEPS // 5)


def test_every_goal_has_its_age_and_distance(env, simulated):
    one = simulated["zero action"]
    np.testing.assert_array_equal(one.goal_age, np.tile((np.arange(STEPS) % 5 + 1)[:, None], (1, ENVS)))
    again = one.asked.reshape(STEPS // 5, 5, ENVS, 3)
    np.testing.assert_array_equal(again, again[:, :1].repeat(5, 1))  # as it was when the goal was set
    # All of the grasps are at the middle of the joints, and the last step of a goal is where the next one starts.
    joints = np.sqrt(np.mean((0.05 * np.ones(16)) ** 2))
    assert (one.left[..., 2] < joints + 0.01).all() and (one.left[..., 2] > 0).all()


def events():
    """Two environments for four steps, by hand: object 0 palm up, object 1 palm down; a goal each, and one drop."""
    flags = lambda *where: np.array([[(t, e) in where for e in range(2)] for t in range(4)])
    angle = 0.4 * np.array([[2.0, 5.0], [2.0, 5.0], [4.0, 5.0], [4.0, 2.5]])  # rad: units of `rewards.distance`
    asked = np.stack([np.zeros((4, 2)), angle, np.zeros((4, 2))], axis=-1)
    return Events(
        goal=flags((1, 0), (2, 1)), drop=flags((3, 1)), blown_up=flags(), ended=flags((3, 1)), given_up=flags(),
        object=np.tile([0, 1], (4, 1)), angle=np.tile([10.0, 170.0], (4, 1)),
        goal_age=np.array([[1, 1], [2, 2], [1, 3], [2, 1]]), asked=asked, left=asked / 2,
        tip_speed=np.full((4, 2), 0.5), turning=np.zeros((4, 2)), command=np.zeros((4, 2)),
    )  # fmt: skip


def test_splits_by_hand():
    row = evaluation.summarise(events(), ["cube", "rod", "never"])
    # 0.8 s in all with two goals: 150 a minute; one drop in them.
    assert (row["goals"], row["drops"]) == (2, 1)
    figures = [row["seconds"], row["goals_per_minute"]["value"], row["hold_time"]["value"]]
    np.testing.assert_allclose(figures, [0.8, 150, 0.8])
    assert set(row["by_object"]) == {"cube", "rod"} and set(row["by_gravity"]) == {"palm up", "palm down"}
    assert row["by_object"]["rod"]["drops"] == row["by_gravity"]["palm down"]["drops"] == 1
    np.testing.assert_allclose(row["by_object"]["cube"]["goals_per_minute"]["value"], 150)
    # Goals set at 2 and 5 units were reached, the one at 2.5 was lost with the object, the one at 4 is still open.
    near, far = (row["tries"]["by"]["distance"][name] for name in ("0 to 3", "4.5 to 6"))
    assert (near["tries"], near["reached"], near["dropped"]) == (2, 1, 1)
    assert (far["tries"], far["reached"]) == (1, 1)
    assert {name: one["tries"] for name, one in row["tries"]["by"]["family"].items()} == {"cube": 1, "rod": 2}
    assert {name: one["tries"] for name, one in row["tries"]["by"]["gravity"].items()} == {"palm up": 1, "palm down": 2}


def test_how_fast_an_object_turns_is_told_by_what_was_asked():
    class Turning(FakeEnv):
        """Asked for 0.5 rad/s against the clock, it turns by 0.02 rad a step as asked."""

        def reset(self, rng):
            state = super().reset(rng)
            return state.replace(info=state.info | {"command": jnp.asarray(-0.5)}, metrics=self._turned(state))

        def step(self, state, action):
            state = super().step(state, action)
            return state.replace(metrics=self._turned(state))

        def _turned(self, state):
            return {name: value for name, value in state.metrics.items() if name != "given_up"} | {"turned": 0.02}

    env = Turning()
    env.library = types.SimpleNamespace(**vars(env.library), q=jnp.zeros((3, 16)))
    still = lambda state, key: jnp.zeros_like(state.info["target"])
    found = jax.jit(lambda key: evaluation.simulate(env, [still], 0, key, 2, 3))(jax.random.PRNGKey(0))
    np.testing.assert_allclose(found.turning, 0.02 * 10 / 0.5, rtol=1e-6)
    row = evaluation.summarise(found, ["one", "two"])
    np.testing.assert_allclose(row["turn_rate"]["value"], 0.4, rtol=1e-6)
    assert set(row["by_direction"]) == {"backward"}


def test_how_fast_objects_turn_by_object_and_direction():
    told = dict(command=np.tile([1.0, -0.5], (4, 1)), turning=np.tile([0.5, 0.1], (4, 1)))
    row = evaluation.summarise(dataclasses.replace(events(), **told), ["cube", "rod"])
    share = lambda one: one["turn_rate"]["value"]
    assert share(row) == pytest.approx(0.3) and row["turn_rate"]["low"] < 0.3 < row["turn_rate"]["high"]
    assert share(row["by_object"]["cube"]) == share(row["by_direction"]["forward"]) == 0.5
    assert share(row["by_object"]["rod"]) == pytest.approx(share(row["by_direction"]["backward"]))
    other = evaluation.summarise(events(), ["cube", "rod"])
    assert "turn_rate" not in other and not other["by_direction"]


def test_splits_add_up(simulated):
    row = evaluation.summarise(simulated["random"], ["one", "two"])
    for split in ("by_object", "by_gravity"):
        for name in ("goals", "drops"):
            assert sum(part[name] for part in row[split].values()) == row[name]
        np.testing.assert_allclose(sum(part["seconds"] for part in row[split].values()), row["seconds"])


def test_the_comparison_is_with_the_best_baseline():
    estimate = lambda value: {"goals_per_minute": {"value": value, "low": 0.9 * value, "high": 1.1 * value}}
    rows = {"expert": estimate(6.0), "zero action": estimate(0.1), "random": estimate(1.2)}
    found = evaluation.compare(rows)
    assert found["best_baseline"] == "random" and found["intervals_apart"]
    np.testing.assert_allclose(found["goals_over_best"], 5.0)
    assert not evaluation.compare(rows | {"random": estimate(5.9)})["intervals_apart"]
