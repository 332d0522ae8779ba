import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from dexgen_jax.grasps import overlap
from dexgen_jax.hand import allegro, leap
from dexgen_jax.objects import catalog
from dexgen_jax.physics import scene as scenes
from dexgen_jax.physics import world as worlds

HAND = allegro.load()
depth_of = jax.jit(lambda q, thing, pose: overlap.depth(HAND, q, thing, pose))


def _contacts(name, q, pose):
    """MuJoCo's deepest contact [m] between hand and object, for each grasp."""
    thing = catalog.load(name)
    scene = scenes.build(HAND, tuple(int(k) for k in thing.kind))
    model = scenes.model_of(scene, jax.tree.map(np.asarray, worlds.model_fields(worlds.nominal(thing), HAND)))
    data = mujoco.MjData(model)
    deepest = []
    for joints, place in zip(q, pose, strict=True):
        data.qpos[:] = np.concatenate([joints, place])
        mujoco.mj_kinematics(model, data)
        mujoco.mj_collision(model, data)
        deepest.append(max(-c.dist for c in data.contact if max(c.geom) >= scene.slots.start))
    return np.array(deepest)


def test_depth_is_mujocos_deepest_contact_in_real_grasps(grasps):
    for found in grasps:
        thing = jax.tree.map(jnp.asarray, catalog.load(found.object_name))
        depth = jax.vmap(lambda q, pose: depth_of(q, thing, pose))(found.q, found.object_pose)  # noqa: B023
        expected = _contacts(found.object_name, found.q, found.object_pose)
        assert 0.001 < np.median(expected) < 0.006
        # Samples along the links miss little; at the box's edges MuJoCo's own depth is that of one face.
        assert np.mean(np.abs(depth - expected) < 5e-4) > 0.9


def test_a_link_through_the_middle_of_a_box_is_as_deep_as_half_the_box():
    # The straight middle finger passes through the centre of a cube of 55 mm: 27.5 mm and its own radius of 11.6 mm.
    cube = jax.tree.map(jnp.asarray, catalog.load("cube_55"))
    q = jnp.clip(jnp.zeros(HAND.num_joints), HAND.lower, HAND.upper)
    pose = jnp.array([0.0, 0.0, 0.045, 1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(depth_of(q, cube, pose), 0.0275 + 0.0116, atol=1e-3)


def test_a_longer_link_has_more_samples():
    # The longest axes are 54.2 mm (Allegro) and 70 mm (LEAP, across its palm).
    assert overlap._count_samples(HAND) == 9 and overlap._count_samples(leap.load()) == 11
    # A rod of 28 cm sinks 1 mm into a ball between two samples; 3.5 mm to either side it is 0.17 mm less.
    rod = dataclasses.replace(
        HAND.chain,
        capsule_body=np.array([0]),
        capsule_ends=np.array([[[0, 0, -0.14], [0, 0, 0.14]]]),
        capsule_radius=np.array([0.01]),
    )
    hand, ball = dataclasses.replace(HAND, chain=rod), jax.tree.map(jnp.asarray, catalog.load("sphere_56"))
    pose = jnp.array([0.028 + 0.01 - 0.001, 0.0, 0.0175, 1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(overlap.depth(hand, jnp.zeros(16), ball, pose), 0.001 - 0.00017, atol=1e-5)


def test_depth_does_not_depend_on_where_the_object_frame_points():
    sphere = jax.tree.map(jnp.asarray, catalog.load("sphere_64"))
    q = jnp.asarray(HAND.prior.joint_mean, jnp.float32)
    turned = [jnp.array([0.06, 0.0, 0.01, *quat]) for quat in ([1.0, 0, 0, 0], [0.5, 0.5, -0.5, 0.5])]
    depths = [float(depth_of(q, sphere, pose)) for pose in turned]
    np.testing.assert_allclose(depths[0], depths[1], atol=1e-6)


def test_what_is_far_away_is_clear_by_its_distance():
    sphere = jax.tree.map(jnp.asarray, catalog.load("sphere_64"))
    q = jnp.clip(jnp.zeros(HAND.num_joints), HAND.lower, HAND.upper)
    # Straight above the middle fingertip, whose axis ends at z = 136.2 mm: 500 - 136.2 - 12 - 32 mm away.
    pose = jnp.array([0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(depth_of(q, sphere, pose), -0.3198, atol=1e-4)
