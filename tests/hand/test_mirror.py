"""Laws: a left hand is the image of the right one, and so is all that happens in it."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
import three_finger

from dexgen_jax.envs import observations
from dexgen_jax.envs import registry as tasks
from dexgen_jax.experts import networks, reflection
from dexgen_jax.grasps import library
from dexgen_jax.hand import mirror, registry, rotation
from dexgen_jax.objects import catalog, shapes
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds

NAMES = ("allegro", "leap")


def test_a_point_a_turn_and_a_rotation_are_reflected_each_in_its_way():
    quat, (other, point) = rotation.random(jax.random.PRNGKey(0)), np.float32([[0.3, -0.5, 0.7], [-0.2, 0.9, 0.4]])
    image = lambda x: mirror.reflect(x, mirror.POINT)
    # To turn and to reflect is to reflect and to turn by the image of the turn.
    np.testing.assert_allclose(
        image(rotation.rotate(quat, point)), rotation.rotate(mirror.reflect(quat, mirror.QUAT), image(point)), atol=1e-6
    )
    turned = mirror.reflect(jnp.cross(other, point), mirror.TURN)
    np.testing.assert_allclose(turned, jnp.cross(image(other), image(point)), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_of_the_left_hand_are_the_images_of_the_rights_at_the_same_joints(name):
    right, left = registry.load(name), registry.load(f"{name}_left")
    assert left.name == f"{name}_left" and left.joint_names == right.joint_names
    np.testing.assert_array_equal(left.lower, right.lower)
    models = [hand.spec().compile() for hand in (right, left)]
    for q in np.random.default_rng(0).uniform(right.lower, right.upper, (20, 16)):
        points = []
        for model in models:
            data = mujoco.MjData(model)
            data.qpos[:] = q
            mujoco.mj_kinematics(model, data)
            points.append(np.concatenate([data.site_xpos, data.geom_xpos, data.xipos]))
        np.testing.assert_allclose(points[1], points[0] * mirror.POINT, atol=1e-9)
    np.testing.assert_allclose(left.chain.keypoint_position, right.chain.keypoint_position * mirror.POINT, atol=1e-9)


def test_the_image_of_an_image_is_the_hand():
    there = three_finger.build_spec().compile()
    back = mirror.reflected_spec(mirror.reflected_spec(three_finger.build_spec())).compile()
    for field in "body_pos body_quat jnt_axis geom_pos geom_quat site_pos body_ipos body_inertia".split():
        np.testing.assert_allclose(getattr(back, field), getattr(there, field), atol=1e-9, err_msg=field)


def test_a_turn_that_is_no_quaternion_is_named():
    def tilt():
        spec = three_finger.build_spec()
        spec.body("b_upper").alt.euler = (0.1, 0, 0)
        spec.body("b_upper").alt.type = mujoco.mjtOrientation.mjORIENTATION_EULER
        return spec

    with pytest.raises(ValueError, match="body 'b_upper' is turned by something else than a quaternion: give one"):
        mirror.reflected_spec(tilt())


def test_frames_and_products_of_inertia_are_reflected_too():
    text = """<mujoco><compiler angle="radian"/><worldbody><frame pos="0.1 0.2 0.3" quat="0.9 0.3 0.2 0.1">
      <frame pos="0 0.05 0"><body pos="0.01 0.02 0.03" quat="0.8 0 0.5 0.2">
        <inertial pos="0.004 0.005 0.006" mass="0.2" fullinertia="3e-4 2e-4 4e-4 3e-5 -2e-5 5e-5"/>
        <joint axis="0.2 0.5 0.7"/><frame pos="0 0.03 0.01"><geom size="0.01"/></frame></body></frame>
      </frame></worldbody></mujoco>"""
    specs = mujoco.MjSpec.from_string(text), mirror.reflected_spec(mujoco.MjSpec.from_string(text))
    seen = []
    for spec in specs:
        model = spec.compile()
        data = mujoco.MjData(model)
        data.qpos[0], data.qvel[0] = 0.7, 0.3
        mujoco.mj_forward(model, data)
        frame = data.ximat[1].reshape(3, 3)
        inertia = frame @ np.diag(model.body_inertia[1]) @ frame.T
        seen.append((data.xpos[1], data.xipos[1], data.geom_xpos[0], inertia))
    *places, inertia = zip(*seen, strict=True)
    for right, left in places:
        np.testing.assert_allclose(left, right * mirror.POINT, atol=1e-9)
    np.testing.assert_allclose(inertia[1], np.outer(mirror.POINT, mirror.POINT) * inertia[0], atol=1e-12)


def test_an_inertia_that_is_turned_by_no_quaternion_is_named():
    spec = three_finger.build_spec()
    spec.body("b_upper").ialt.euler = (0.1, 0, 0)
    spec.body("b_upper").ialt.type = mujoco.mjtOrientation.mjORIENTATION_EULER
    with pytest.raises(ValueError, match="the inertia of body 'b_upper' is turned by something else than a quaternion"):
        mirror.reflected_spec(spec)


def test_a_frame_that_is_turned_by_no_quaternion_is_named():
    spec = mujoco.MjSpec.from_string("""<mujoco><worldbody><frame name="mount" euler="0 0 30"><body/></frame>
      </worldbody></mujoco>""")
    with pytest.raises(ValueError, match="frame 'mount' is turned by something else than a quaternion: give one"):
        mirror.reflected_spec(spec)


def test_grasps_of_the_right_hand_are_the_lefts_reflected():
    right = library.load("shipped", "cube_55", "allegro")
    left = library.load("shipped", "cube_55", "allegro_left")
    np.testing.assert_array_equal(left.q, right.q)
    np.testing.assert_array_equal(left.object_pose, right.object_pose * mirror.POSE)
    assert left.hand_name == "allegro_left"
    with pytest.raises(ValueError, match="is for hand 'allegro' .* asked for 'leap_left'"):
        library.load(library.pretrained.path("grasps"), "cube_55", "leap_left")


def test_a_left_hands_objects_are_images_and_a_rights_are_not():
    (thing,) = shapes.as_held([catalog.load("l_80_60_28")], "leap")
    (image,) = shapes.as_held([thing], "leap_left")
    np.testing.assert_array_equal(image.position, thing.position * mirror.POINT)
    np.testing.assert_array_equal(image.size, thing.size)
    assert np.abs(image.position - thing.position).max() > 0.01


def watcher(hand) -> networks.Expert:
    """A policy that knows nothing, but looks at all it is shown."""
    size = len(tasks.reflection("anygrasp", {}, hand))
    actor_critic = networks.ActorCritic(networks.NetworkConfig(actor=(8,), critic=(8,)), hand.num_joints)
    params = actor_critic.init(jax.random.PRNGKey(3), {"state": size, "privileged_state": 4})
    rng = np.random.default_rng(4)
    stats = networks.RunningStats(*np.float32([np.ones(size), 0.3 * rng.normal(size=size), np.ones(size)]))
    last = params["actor"]["params"]["Dense_1"]
    params["actor"]["params"]["Dense_1"] = {**last, "kernel": 30 * last["kernel"]}  # it does not start small
    return networks.Expert.of(actor_critic, params, {"state": stats}, {}, hand=hand.name)


def rollout(hand, policy, grasps, row, gravity, steps=12):
    """What a policy that looks makes of a grasp: joints, object poses and what it saw, a row for each control step."""
    engine = engines.make(hand, [catalog.load(grasps.object_name)], "native", threads=1)
    world = worlds.nominal(engine.object(jnp.asarray(0)), gravity)
    q, pose = jnp.asarray(grasps.q[row]), jnp.asarray(grasps.object_pose[row])

    @jax.jit
    def look(physics, target):
        here, there = physics.joints(hand), physics.object_pose(hand)
        error = observations.goal_error(here, there, q, pose)
        obs = observations.actor(hand, here, target, physics, error, world)
        return obs, jnp.clip(target + 0.02 * jnp.tanh(policy.act({"state": obs})), hand.lower, hand.upper)

    advance = jax.jit(engine.step)  # apart: what calls back into Python is compiled anew in every process
    physics, target, rows = engine.init(jnp.concatenate([q, pose])), jnp.asarray(grasps.target[row]), []
    for _ in range(steps):
        obs, target = look(physics, target)
        physics = advance(physics, target, world)
        rows.append((physics.joints(hand), physics.object_pose(hand), obs))
    return (np.stack(column) for column in zip(*rows, strict=True))


def test_mirrored_rollouts_are_equal():
    right, left = registry.load("allegro"), registry.load("allegro_left")
    grasps = library.load("shipped", "l_80_60_28", "allegro")
    policy, row, gravity = watcher(right), 3, np.array([-5.0, 6.0, 5.0])
    factors = tasks.reflection("anygrasp", {}, right)
    q, pose, seen = rollout(right, policy, grasps, row, gravity)
    image, reflected = reflection.reflect(policy, factors, left.name), library.load("shipped", "l_80_60_28", left.name)
    q_left, pose_left, seen_left = rollout(left, image, reflected, row, gravity * mirror.POINT)
    assert np.abs(q - grasps.q[row]).max() > 0.05, "the policy must move the hand"
    np.testing.assert_allclose(q_left, q, atol=1e-3)
    np.testing.assert_allclose(pose_left[:, :3], pose[:, :3] * mirror.POINT, atol=1e-4)
    alike = np.abs(np.sum(pose_left[:, 3:] * pose[:, 3:] * mirror.QUAT, axis=1))
    np.testing.assert_allclose(alike, 1.0, atol=1e-4)
    np.testing.assert_allclose(seen_left, seen * factors, atol=0.02)
    assert image.hand_name == left.name


def test_an_expert_that_saw_something_else_is_not_reflected():
    with pytest.raises(ValueError, match="the expert sees .* numbers, and the task reflects 3: it was trained in"):
        reflection.reflect(watcher(registry.load("allegro")), np.ones(3, np.float32), "allegro_left")


@pytest.mark.parametrize(
    "task, changes",
    [("anygrasp", {"sees_all": True, "style.shown": True}), ("anygrasp", {}), ("fine_rotation", {"sees_all": True})],
)
def test_every_entry_of_an_observation_has_its_factor(task, changes):
    hand, (thing,) = registry.load("leap"), [catalog.load("cube_55")]
    engine = engines.make(hand, [thing], "native", threads=1)
    q, pose = np.tile(hand.prior.joint_mean, (5, 1)).astype(np.float32), np.zeros((5, 7), np.float32)
    ring = np.tile(np.arange(1, 3), (5, 1)).astype(np.int32)
    postures = library.GraspLibrary(
        q, q, pose, np.zeros(5, np.int32), ring, np.ones((5, 2), np.float32), np.zeros(3, np.float32), "leap"
    )
    env = tasks.make(task, changes, engine=engine, library=jax.tree.map(jnp.asarray, postures))
    factors = tasks.reflection(task, changes, hand)
    assert env.observation_size["state"] == factors.shape and set(np.unique(factors)) == {-1.0, 1.0}


def test_forces_and_normals_of_what_a_simulator_knows_are_points():
    # 6 joints, 6 torques, 6 touches, a push, 5 numbers, 6 distances, 6 normals, 2 counters, advice for 6 joints twice,
    # the object's box, how it turns, 6 touches.
    same, points = lambda count: [1] * count, lambda count: [1, -1, 1] * count
    expected = same(18) + points(1) + same(5) + same(6) + points(6) + same(17) + [-1, 1, -1] + same(6)
    np.testing.assert_array_equal(observations.simulator_factors(three_finger.load()), expected)
