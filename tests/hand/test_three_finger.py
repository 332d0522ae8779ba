"""A hand is a parameter: a made-up one with three fingers is simulated, learned from, and let out as a controller."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
import three_finger

from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import collect, windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.deploy import contract, tick
from dexgen_jax.envs import registry
from dexgen_jax.experts import networks, ppo
from dexgen_jax.grasps import growth, library, sample, settle
from dexgen_jax.hand import kinematics
from dexgen_jax.hand import registry as hands
from dexgen_jax.objects import shapes
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds

HAND = three_finger.load()
BALL = shapes.build([shapes.Primitive(shapes.SPHERE, (0.04,))])


@pytest.fixture(scope="module")
def ball_engine():
    return engines.make(HAND, [BALL], "native", threads=1)


def test_its_keypoints_are_mujocos():
    model = HAND.spec().compile()
    data = mujoco.MjData(model)
    poses = np.random.default_rng(0).uniform(HAND.lower, HAND.upper, (20, 6)).astype(np.float32)
    points = jax.jit(jax.vmap(lambda q: kinematics.keypoints(HAND, q)))(poses)
    for q, found in zip(poses, points, strict=True):
        data.qpos[:] = q
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(found, [data.site(name).xpos for name in HAND.keypoint_names], atol=1e-5)


def test_its_servos_have_its_own_gains_and_limits(ball_engine):
    # 2 N m/rad x 0.1 rad, and 0.5 N m where 2 x 1 would be more; far from the ball.
    start = ball_engine.init(jnp.zeros(13).at[6:10].set(jnp.array([1.0, 0, 0, 1])))
    world = worlds.nominal(ball_engine.object(jnp.asarray(0))).replace(gravity=jnp.zeros(3))
    fields = jax.tree.map(np.asarray, worlds.model_fields(world, HAND))
    np.testing.assert_allclose(fields["actuator_gainprm"], 2.0)
    np.testing.assert_allclose(fields["actuator_biasprm"], np.tile([-2.0, -0.05], (6, 1)), rtol=1e-6)
    after = ball_engine.step(start, jnp.full(6, 0.3), world)
    np.testing.assert_allclose(after.joints(HAND), 0.3, atol=0.1)
    assert after.touch.shape == (6,) and float(jnp.abs(after.torque).max()) <= 0.5


def test_it_grasps_a_ball_and_does_not_grasp_one_out_of_reach(ball_engine):
    keys = jax.random.split(jax.random.PRNGKey(0), 16)
    candidates = jax.vmap(sample.cup, (0, None))(keys, HAND)
    candidates = candidates.replace(qpos=candidates.qpos.at[0, 6].set(0.4))
    world, config = worlds.nominal(ball_engine.object(jnp.asarray(0))), settle.SettleConfig()
    found = jax.jit(lambda c: settle.settle(ball_engine, world, c, jnp.ones(len(keys), bool), config))(candidates)
    assert not bool(found.accepted[0])
    assert 1 <= int(found.accepted.sum()) and found.target.shape == (16, 6)
    assert (np.asarray(found.touches)[np.asarray(found.accepted)].sum(1) >= 2).all()


@pytest.mark.slow
def test_it_grows_a_library_learns_and_is_recorded(ball_engine, tmp_path):
    # Grasps from all three makers, a file, a goal graph.
    config = growth.GrowthConfig(cup=(64, 48), contacts=(64, 16), search=(64, 16))  # in one part: half to compile
    subject = jax.tree.map(lambda x: x[0], growth.subjects([BALL]))
    attempt = jax.jit(lambda key, known: growth.attempt(key, ball_engine, jnp.asarray(0), subject, known, config))
    grasps = growth.begin(HAND, "ball", {})
    for batch in range(3):
        grasps = growth.add(grasps, jax.device_get(attempt(jax.random.PRNGKey(batch), growth.known(grasps))))
    assert len(grasps) > 8
    library.save(tmp_path, grasps)
    found = library.load(tmp_path, "ball", HAND.name)
    np.testing.assert_array_equal(found.q, grasps.q)
    goals = library.assemble([found], library.GraphConfig(neighbours=3))
    # The task, and what an iteration of learning it makes of it.
    env = registry.make("anygrasp", engine=ball_engine, library=goals)
    actor_critic = networks.ActorCritic(networks.NetworkConfig(actor=(8,), critic=(8,)), env.action_size)
    settings = ppo.PPOConfig(num_envs=4, unroll_length=4, minibatches=1, epochs=1)
    begin = lambda key: ppo.init(env, actor_critic, settings, key, env.config.episode_steps)
    state = jax.eval_shape(begin, jax.random.PRNGKey(0))
    after, _ = jax.eval_shape(lambda state: ppo.iteration(env, actor_critic, settings, state), state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    # What it does is recorded and cut into what a controller learns from.
    still = lambda obs, key: jnp.zeros((2, env.action_size))
    rows = jax.jit(lambda key: collect.record(env, still, collect.BehaviourConfig(), key, 2, 12))(jax.random.PRNGKey(1))
    columns = collect.to_columns(rows)
    assert columns["q"].shape == columns["target"].shape == (2, 12, 6)
    recording = windows.recording(columns, history=4, horizon=2, drop_rows=2)
    window = windows.draw(HAND, recording, jax.random.PRNGKey(2), 5, history=4, horizon=2)
    assert window.offsets.shape == (5, 2, 6, 3) and window.action.shape == (5, 6)
    assert window.condition.shape == (5, 4, 3 * 3 + 3 * 6)


def test_its_controller_is_kept_and_has_a_contract_and_a_tick_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(hands.HANDS, HAND.name, three_finger.load)
    sizes = dict(width=16, depth=1, encoder_width=16, inverse_width=16, inverse_blocks=1, sampling_steps=2)
    model = Model(hand_name=HAND.name, diffusion_steps=20, **sizes)
    row, joints = np.ones((model.history, windows.condition_size(HAND)), np.float32), np.ones(6, np.float32)
    statistics = Normalizer(0 * row, row, 0.01 * joints[:2], 0 * joints, 0.05 * joints)
    parameters = jax.eval_shape(model.initial_parameters, jax.random.PRNGKey(0))  # shapes are enough here
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), parameters)
    Controller(model, Weights(**zeros, normalizer=statistics)).save(tmp_path / "controller")
    found = Controller.from_pretrained(tmp_path / "controller", hand=HAND)
    terms = contract.describe(found)
    assert terms["hand"] == "three_finger" and terms["joints"]["names"] == list(HAND.joint_names)
    parts = contract.parts(found.model)
    state, said = contract.specs(parts["state"]), contract.specs(parts["inputs"])
    outputs, after = jax.eval_shape(tick.tick_function(found), tick.weight_arrays(found), state, said)
    assert outputs["action"].shape == (6,) and outputs["motion"].shape == (2, 6, 3)
    assert {name: value.shape for name, value in after.items()} == {n: tuple(f.shape) for n, f in state.items()}
