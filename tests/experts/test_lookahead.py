"""An expert that looks ahead: plans are worth what they say, everybody has the same luck, and it pays."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_env import Walk

from dexgen_jax.experts import rollout
from dexgen_jax.experts.lookahead import Course, Lookahead, LookaheadConfig
from dexgen_jax.experts.networks import ActorCritic, Expert, NetworkConfig, RunningStats

ENV = Walk(episode_steps=30)
NETWORKS = ActorCritic(NetworkConfig(actor=(4,), critic=(8,)), ENV.action_size)
RETURNS = {"discount": 0.9, "reward_scale": 0.5}
CONFIG = LookaheadConfig(candidates=6, horizon=5, commit=2, lasts=2, push=1.0)


@pytest.fixture(scope="module")
def expert():
    sizes = {name: shape[0] for name, shape in ENV.observation_size.items()}
    params = NETWORKS.init(jax.random.PRNGKey(0), sizes)
    stats = {name: RunningStats.zeros(size).update(jnp.eye(size) * 2) for name, size in sizes.items()}
    return Expert.of(NETWORKS, params, stats, env={}, returns=RETURNS)


@pytest.fixture(scope="module")
def ahead(expert):
    return Lookahead(ENV, expert, CONFIG)


@pytest.fixture(scope="module")
def state(ahead):
    """After a reset, as the task itself would show it."""
    state = jax.jit(ahead.reset)(jax.random.PRNGKey(3))
    return state.replace(obs={name: value for name, value in state.obs.items() if name != "push"})


def pushed(pushes):
    """The course (horizon, n) of pushes alone."""
    return Course(pushes, jnp.zeros(pushes.shape, bool), jnp.zeros(len(pushes)))


def test_a_candidate_is_worth_its_discounted_rewards_and_the_critics_word(ahead, expert, state):
    pushes = jax.random.normal(jax.random.PRNGKey(1), (5, 2))
    worth, added = jax.jit(ahead._follow)(state, pushed(pushes))
    np.testing.assert_array_equal(added, pushes)
    now, by_hand, step = state, 0.0, jax.jit(ENV.step)
    for i, push in enumerate(pushes):
        now = step(now, jnp.clip(expert.actor.act({"state": now.obs["state"]}) + push, -1, 1))
        by_hand += 0.9**i * 0.5 * float(now.reward)
    np.testing.assert_allclose(worth, by_hand + 0.9**5 * float(expert.value(now.obs)), rtol=1e-4)


def test_nothing_counts_behind_a_drop(ahead, state):
    out = state.replace(pipeline_state=jnp.array([2.5, 0.0]))  # beyond the fence, whatever is done
    course = pushed(jnp.zeros((5, 2)))
    first = jax.jit(ENV.step)(out, jnp.clip(ahead.expert.act({"state": out.obs["state"]}), -1, 1))
    np.testing.assert_allclose(jax.jit(ahead._follow)(out, course)[0], 0.5 * float(first.reward), rtol=1e-5)
    careful = Lookahead(ENV, ahead.expert, dataclasses.replace(CONFIG, drop_cost=2.0))
    np.testing.assert_allclose(jax.jit(careful._follow)(out, course)[0], 0.5 * float(first.reward) - 2, rtol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_best_candidate_is_taken_and_the_experts_own_is_one(expert, state, sign):
    offered = []

    class Told(Lookahead):
        """Candidates are worth what is told here: the larger the push the better, or the worse."""

        def _follow(self, state, course):
            size = jnp.sum(course.push**2)
            jax.debug.callback(lambda size: offered.append(float(size)), size)
            return sign * size, course.push

    plan = Told(ENV, expert, CONFIG)._plan(jax.random.PRNGKey(5), state)
    jax.effects_barrier()
    assert plan.shape == (2, 2) and (plan[0] == plan[1]).all()  # a push lasts until the next look
    assert len(offered) == 6 and min(offered) == 0 < sorted(offered)[1]  # its own, and five others
    if sign < 0:
        assert not plan.any()
    else:
        whole = Told(ENV, expert, dataclasses.replace(CONFIG, horizon=2))._plan(jax.random.PRNGKey(5), state)
        jax.effects_barrier()
        np.testing.assert_allclose(jnp.sum(whole**2), max(offered[6:]), rtol=1e-5)


class TwoFingers(Walk):
    """The walk as a hand of two fingers, a joint each; geometry suggests 0.5, and the grasp is at (3, -0.2)."""

    observation_size = {**Walk.observation_size, "carry": (2,)}
    one_joint = types.SimpleNamespace(
        parent=np.zeros(3, int), keypoint_body=np.array([1, 2]), axis=np.eye(3)[[1, 1, 1]], joint=np.array([0, 0, 1])
    )
    hand = types.SimpleNamespace(chain=one_joint, num_joints=2, num_keypoints=2, num_tips=2)

    def toward_grasp(self, info):
        return jnp.array([3.0, -0.2])

    def _observe(self, place, info):
        return {**super()._observe(place, info), "carry": jnp.full(2, 0.5)}


def test_a_regrasp_sends_one_finger_to_the_grasp_while_the_others_carry_on(expert):
    ahead = Lookahead(TwoFingers(30), expert, dataclasses.replace(CONFIG, candidates=3, regrasps=True, carry=0.2))
    courses = ahead._courses(jax.random.PRNGKey(0))
    assert courses.push.shape == (3 + 1 + 2, 5, 2) and not courses.push[3:].any() and not courses.push[0].any()
    np.testing.assert_array_equal(courses.regrasp.any((1,)), [[0, 0]] * 4 + [[1, 0], [0, 1]])  # none, then each finger
    np.testing.assert_array_equal(courses.regrasp.any((0, 2)), [1, 1, 0, 0, 0])  # for as long as a plan is followed
    np.testing.assert_allclose(courses.carry, [[0] * 5] * 3 + [[0.2] * 5] * 3)
    state = TwoFingers(30).reset(jax.random.PRNGKey(3))
    first = jax.tree.map(lambda x: x[4], courses)
    own = ahead.expert.act(state.obs) + ahead.plans.pull * jnp.array([3.0, -0.2])  # always drawn to the grasp a little
    np.testing.assert_allclose(own + ahead._follow(state, first)[1][0], [1.0, own[1] + 0.1], rtol=1e-5)
    back = dataclasses.replace(ahead.plans, windup=0.6)  # the second finger to -0.2 - 0.6 * 0.5
    far = Lookahead(TwoFingers(30), expert, back)._follow(state, jax.tree.map(lambda x: x[5], courses))[1][0]
    np.testing.assert_allclose(own + far, [own[0] + 0.1, -0.5], rtol=1e-5)
    np.testing.assert_allclose(ahead.expert.act(ahead.reset(jax.random.PRNGKey(3)).obs), own, rtol=1e-5)
    slow = Lookahead(TwoFingers(30), expert, dataclasses.replace(ahead.plans, speed=0.5, commit=1))
    np.testing.assert_array_equal(slow._courses(jax.random.PRNGKey(0)).regrasp, courses.regrasp)  # they last as long
    half = own - 0.5 * ahead.expert.act(state.obs)
    np.testing.assert_allclose(slow.expert.act(slow.reset(jax.random.PRNGKey(3)).obs), half, rtol=1e-5)
    np.testing.assert_allclose(half + slow._follow(state, first)[1][0], [1.0, half[1] + 0.05], rtol=1e-5)
    looked = jax.jit(jax.vmap(ahead.step))(*jax.tree.map(lambda x: x[None], (ahead.reset(jax.random.PRNGKey(3)), own)))
    assert looked.obs["push"].shape == (1, 2)


def test_looking_ahead_pays_and_a_batch_does_what_each_would_alone(ahead, expert):
    def lives(env, batch):
        def life(key):
            def step(now, _):
                then, reached = rollout.auto_reset_step(env, now, jnp.clip(expert.act(now.obs), -1, 1))
                return then, (reached.reward, then.pipeline_state)

            return jax.lax.scan(step, env.reset(key), None, length=9)[1]

        return jax.jit(lambda keys: batch(life, keys))(jax.random.split(jax.random.PRNGKey(7), 24))

    with_plans, alone = lives(ahead, lambda life, keys: jax.vmap(life)(keys)), lives(ahead, jax.lax.map)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), with_plans, alone)
    without = lives(ENV, lambda life, keys: jax.vmap(life)(keys))
    assert with_plans[0].sum(1).mean() > without[0].sum(1).mean() + 1


def test_a_plan_does_not_know_the_luck_that_comes(ahead, expert, state):
    """The disturbances of the control steps that follow are the same whether or not somebody looked ahead."""
    calm = Lookahead(ENV, expert, dataclasses.replace(CONFIG, candidates=1))
    step = lambda env: jax.jit(env.step)(state, jnp.array([0.3, -0.2]))
    looked, not_looked = step(ahead), step(calm)
    np.testing.assert_array_equal(looked.pipeline_state, not_looked.pipeline_state)
    np.testing.assert_array_equal(looked.info["rng"], not_looked.info["rng"])
    assert looked.obs["push"].any() and not not_looked.obs["push"].any()


def test_what_cannot_be_planned_is_refused(expert):
    with pytest.raises(ValueError, match="this expert has no critic, .* start_from and a ppo.critic_first"):
        Lookahead(ENV, expert.actor, CONFIG)
    with pytest.raises(ValueError, match="a regrasp builds on the action `carry`: set sees_all"):
        Lookahead(ENV, expert, dataclasses.replace(CONFIG, regrasps=True))
    with pytest.raises(ValueError, match="carry is -0.1: it must be a number from 0"):
        LookaheadConfig(carry=-0.1)
    with pytest.raises(ValueError, match="commit is 9, and the horizon only 8 control steps"):
        LookaheadConfig(commit=9)
    with pytest.raises(ValueError, match="lasts is 9, and the horizon only 8 control steps"):
        LookaheadConfig(lasts=9)
    with pytest.raises(ValueError, match="speed is 0.5: it is of an expert that regrasps"):
        LookaheadConfig(speed=0.5)
    with pytest.raises(ValueError, match="drop_cost is -1: it must be a number from 0"):
        LookaheadConfig(drop_cost=-1)
    with pytest.raises(ValueError, match="candidates"):
        LookaheadConfig(candidates=0)


def test_an_expert_keeps_its_critic_in_its_file(expert, tmp_path):
    expert.save(tmp_path)
    read = Expert.from_pretrained(tmp_path)
    obs = {"privileged_state": jnp.arange(7.0) / 3, "state": jnp.arange(4.0)}  # two entries newer than the critic
    assert read.config["critic"] == {"widths": [8], **RETURNS}
    np.testing.assert_array_equal(read.value(obs), expert.value({"privileged_state": obs["privileged_state"][:5]}))
    assert not read.actor.has_critic
    np.testing.assert_array_equal(read.actor.act(obs), expert.act(obs))
