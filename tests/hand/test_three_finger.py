"""A hand is a parameter: a made-up one with three fingers goes through kinematics, physics and grasp validation."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
import three_finger

from dexgen_jax.grasps import sample, settle
from dexgen_jax.hand import kinematics
from dexgen_jax.objects import shapes
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds

HAND = three_finger.load()


@pytest.fixture(scope="module")
def ball_engine():
    return engines.make(HAND, [shapes.build([shapes.Primitive(shapes.SPHERE, (0.04,))])], "native", threads=1)


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
