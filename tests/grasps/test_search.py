import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import metric, overlap, sample, search, symmetry
from dexgen_jax.grasps.metric import Metric
from dexgen_jax.grasps.search import Known, SearchConfig
from dexgen_jax.hand import allegro, kinematics, rotation
from dexgen_jax.objects import catalog

HAND = allegro.load()
BALL = jax.tree.map(jnp.asarray, catalog.load("sphere_64"))
CONFIG = SearchConfig()


def _grasp(quat):
    return jnp.asarray(HAND.prior.joint_mean, jnp.float32), jnp.array([0.05, 0, 0.01, *quat], jnp.float32)


def test_interpolation_starts_ends_and_passes_the_middle():
    (q, pose), (place_q, place_pose) = _grasp([1, 0, 0, 0]), _grasp([np.cos(0.4), 0, np.sin(0.4), 0])
    place_q, place_pose = place_q + 0.2, place_pose.at[0].add(0.02)
    way = jax.jit(lambda share: search.interpolate(q, pose, place_q, place_pose, share, symmetry.NONE))
    for share in (0.0, 0.5, 1.0):
        new_q, new_pose = way(share)
        np.testing.assert_allclose(new_q, q + 0.2 * share, atol=1e-6)
        expected = [0.05 + 0.02 * share, 0, 0.01, np.cos(0.4 * share), 0, np.sin(0.4 * share), 0]
        np.testing.assert_allclose(new_pose, expected, atol=1e-6)


def test_a_cube_turns_the_short_way_and_a_ball_not_at_all():
    (q, pose), (place_q, place_pose) = _grasp([1, 0, 0, 0]), _grasp([np.cos(0.6), np.sin(0.6), 0, 0])
    for name, angle in (("cube_55", np.pi / 2 - 1.2), ("sphere_64", 0.0)):
        group = symmetry.group(catalog.load(name))
        _, new = search.interpolate(q, pose, place_q, place_pose, jnp.asarray(1.0), group)
        np.testing.assert_allclose(rotation.angle_between(new[3:], pose[3:]), angle, atol=1e-3)


def test_fixed_contacts_are_back_on_the_surface_and_the_others_stay():
    q, pose = _grasp([1, 0, 0, 0])
    tips = np.asarray(kinematics.keypoints(HAND, q)[: HAND.num_tips])
    air = np.linalg.norm(tips - np.asarray(pose[:3]), axis=1) - 0.032 - HAND.tip_radius
    contact = jnp.zeros(HAND.num_tips, bool).at[int(np.argmin(np.abs(air)))].set(True)
    fixed = jax.jit(lambda q: search.fix_contacts(HAND, q, BALL, pose, contact, 20))(q)
    new = np.asarray(kinematics.keypoints(HAND, fixed)[: HAND.num_tips])
    left = np.linalg.norm(new - np.asarray(pose[:3]), axis=1) - 0.032 - HAND.tip_radius
    assert np.abs(air).min() > 0.002 and abs(left[np.asarray(contact)][0]) < 5e-4
    np.testing.assert_allclose(new[~np.asarray(contact)], tips[~np.asarray(contact)], atol=1e-5)


@pytest.fixture(scope="module")
def known(grasps):
    """The validated grasps of the ball, with padding that is nearer to everything than they are."""
    ball = grasps[1]
    rows = [np.concatenate([x, np.repeat(x.mean(0)[None], 5, axis=0)]) for x in (ball.q, ball.target, ball.object_pose)]
    rows[2][:, 3:] /= np.linalg.norm(rows[2][:, 3:], axis=1, keepdims=True)
    return Known(*map(jnp.asarray, rows), jnp.asarray(len(ball)))


KEYS = jax.random.split(jax.random.PRNGKey(0), 40)
GROUP = symmetry.group(catalog.load("sphere_64"))


@pytest.fixture(scope="module")
def expand(known):
    """`expand(share)`: a candidate for each of `KEYS`, moved by a share drawn from that range."""

    @jax.jit
    def program(share):
        config = dataclasses.replace(CONFIG, share=share)
        return jax.vmap(lambda key: search.expand(key, HAND, known, BALL, GROUP, config))(KEYS)

    return program


def test_expansion_moves_known_grasps_to_new_places(known, expand):
    new = expand(CONFIG.share)
    sound = np.asarray(new.passed) == len(search.CHECKS)
    assert 8 <= sound.sum()
    pose = np.asarray(new.qpos[:, HAND.num_joints :])
    assert np.abs(pose[:, :3]).max() < 0.2
    np.testing.assert_allclose(np.linalg.norm(pose[:, 3:], axis=1), 1.0, atol=1e-5)
    novel = jax.jit(jax.vmap(lambda p: search.novelty(p, known, GROUP, Metric())))(new.qpos[:, HAND.num_joints :])
    np.testing.assert_allclose(new.merit, novel, atol=6e-3)  # angles near zero are rounded
    assert (np.asarray(new.merit) > 0.05).mean() > 0.9
    assert (np.asarray(new.goal) >= HAND.lower - 1e-6).all() and (np.asarray(new.goal) <= HAND.upper + 1e-6).all()


def test_it_is_the_nearest_grasp_that_is_moved_and_it_squeezes_as_it_did(known, expand):
    new = expand((0.0, 0.0))  # none of the way: the known grasp itself

    @jax.jit
    @jax.vmap
    def distances(key):
        place = sample.cupped(jax.random.split(key)[0], HAND, CONFIG.spread)
        far = lambda q, pose: metric.distance(place[:16], place[16:], q, pose, Metric(), GROUP)[0]
        return jax.vmap(far)(known.q, known.object_pose)

    near = np.argmin(np.asarray(distances(KEYS))[:, : int(known.count)], axis=1)
    q, pose = new.qpos[:, :16], new.qpos[:, 16:]
    np.testing.assert_allclose(pose[:, :3], known.object_pose[near][:, :3], atol=1e-6)
    squeezed = np.clip(q + known.target[near] - known.q[near], HAND.lower, HAND.upper)
    np.testing.assert_allclose(new.goal, squeezed, atol=1e-5)


def test_what_is_called_clear_sinks_in_no_further_than_is_allowed(expand):
    new = expand(CONFIG.share)
    depth = jax.jit(jax.vmap(lambda qpos: overlap.depth(HAND, qpos[:16], BALL, qpos[16:])))(new.qpos)
    sound = np.asarray(new.passed) == len(search.CHECKS)
    assert (depth[sound] < CONFIG.max_depth).all() and (depth[~sound] >= CONFIG.max_depth).any()


def test_novelty_is_the_distance_to_the_nearest_object_pose_and_padding_does_not_count(known):
    group = symmetry.NONE
    count = int(known.count)
    novelty = jax.jit(lambda pose: search.novelty(pose, known, group, Metric()))
    own = jax.vmap(novelty)(known.object_pose[:count])
    np.testing.assert_allclose(own, 0.0, atol=6e-3)
    place = known.object_pose[count]  # a row of padding
    far = jax.jit(jax.vmap(lambda pose: metric.distance(known.q[0], place, known.q[0], pose, Metric(), group)[0]))
    expected = float(far(known.object_pose[:count]).min())
    np.testing.assert_allclose(novelty(place), expected, atol=1e-2)
