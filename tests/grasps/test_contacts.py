import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import closure, contacts, overlap
from dexgen_jax.grasps.contacts import ContactConfig, ContactSet, Surface
from dexgen_jax.hand import allegro, kinematics, rotation
from dexgen_jax.objects import catalog, surface

HAND = allegro.load()
BALL = jax.tree.map(jnp.asarray, catalog.load("sphere_64"))
CONFIG = ContactConfig()
HOME = jnp.asarray(HAND.prior.joint_mean, jnp.float32)


def _surface(name):
    return Surface(*map(jnp.asarray, surface.sample(catalog.load(name), np.random.default_rng(0), 500)))


@pytest.fixture(scope="module")
def proposed():
    skin = _surface("sphere_64")
    make = jax.jit(jax.vmap(lambda key: contacts.propose(key, HAND, skin, BALL, CONFIG)))
    return jax.device_get(make(jax.random.split(jax.random.PRNGKey(0), 64)))


@pytest.fixture(scope="module")
def a_set():
    """Three contacts around a ball of 64 mm that balance."""
    angle = np.array([0, 2, 4, 0]) * np.pi / 3
    normals = np.stack([np.cos(angle), np.sin(angle), np.zeros(4)], axis=1).astype(np.float32)
    used = np.array([True, True, True, False])
    return ContactSet(jnp.asarray(0.032 * normals), jnp.asarray(normals), jnp.asarray(used), jnp.asarray(used, float))


def test_sound_candidates_touch_where_they_should_and_sink_in_nowhere(proposed):
    sound = proposed.passed == len(contacts.CHECKS)
    assert 5 <= sound.sum() < 60
    assert set(np.unique(proposed.passed)) <= {0, 1, 2, 3}
    depth = jax.jit(lambda q, pose: overlap.depth(HAND, q, BALL, pose))
    points = jax.jit(lambda q: kinematics.keypoints(HAND, q))
    for qpos, goal in zip(proposed.qpos[sound], proposed.goal[sound], strict=True):
        q, pose = qpos[: HAND.num_joints], qpos[HAND.num_joints :]
        assert float(depth(q, pose)) < CONFIG.max_depth
        tips = np.asarray(points(q)[: HAND.num_tips])
        air = np.linalg.norm(tips - pose[:3], axis=1) - 0.032 - HAND.tip_radius
        assert (np.abs(air) < CONFIG.max_miss).sum() >= CONFIG.fewest
        assert (goal >= HAND.lower - 1e-6).all() and (goal <= HAND.upper + 1e-6).all()
        pushed = np.asarray(points(goal)[: HAND.num_tips])
        closer = np.linalg.norm(tips - pose[:3], axis=1) - np.linalg.norm(pushed - pose[:3], axis=1)
        assert (closer > 1e-3).sum() >= 2  # the goal presses


def test_a_set_balances_and_leaves_room_for_the_fingers():
    skin = _surface("box_48_56_64")
    draw = jax.jit(jax.vmap(lambda key: contacts.draw_set(key, HAND, skin, CONFIG)))
    sets, good = draw(jax.random.split(jax.random.PRNGKey(1), 100))
    assert 0.3 < np.asarray(good).mean()
    chosen = jax.tree.map(lambda x: np.asarray(x)[np.asarray(good)], sets)
    residual = jax.jit(jax.vmap(lambda n, u: closure.net_force(n, u).residual))(chosen.normals, chosen.used)
    assert float(residual.max()) < CONFIG.max_residual
    torque = np.linalg.norm(np.einsum("bc,bcd->bd", chosen.force, np.cross(chosen.points, chosen.normals)), axis=1)
    assert (torque / np.linalg.norm(skin.points, axis=1).max()).max() < CONFIG.max_torque
    assert set(chosen.used.sum(1)) == {3, 4}
    for points, used in zip(chosen.points, chosen.used, strict=True):
        gaps = [np.linalg.norm(a - b) for a, b in itertools.combinations(points[used], 2)]
        assert min(gaps) > 2 * HAND.tip_radius


def test_the_chosen_fingers_are_the_best_of_all_assignments(a_set):
    pose, finger = jax.jit(lambda key: contacts.place(key, HAND, HOME, a_set, 1))(jax.random.PRNGKey(0))
    points, jacobian = jax.jit(lambda q: kinematics.keypoints_and_jacobian(HAND, q))(HOME)
    tips = np.asarray(points)[: HAND.num_tips]
    along = np.asarray(jacobian)[: HAND.num_tips] @ np.float32(HAND.prior.closing)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    turn = jax.jit(rotation.rotate)
    normals = np.asarray(turn(pose[None, 3:], a_set.normals))[:3]
    spots = np.asarray(turn(pose[None, 3:], a_set.points))[:3] + HAND.tip_radius * normals

    def cost(fingers):
        gap = tips[list(fingers)] - spots
        far = np.sum((gap - gap.mean(0)) ** 2, axis=1) / 0.02**2
        return np.sum(far + 2 * (1 + np.sum(along[list(fingers)] * normals, axis=1)))

    costs = {fingers: cost(fingers) for fingers in itertools.permutations(range(HAND.num_tips), 3)}
    assert tuple(np.asarray(finger)[:3]) == min(costs, key=costs.get)
    best = tips[np.asarray(finger)[:3]] - spots
    np.testing.assert_allclose(pose[:3], best.mean(0), atol=1e-6)


@pytest.mark.slow
def test_more_poses_to_choose_from_bring_the_fingers_nearer(a_set):
    def miss(count, key):
        pose, finger = contacts.place(key, HAND, HOME, a_set, count)
        return contacts.reach(HAND, HOME, a_set, pose, finger, 0)[1]

    keys = jax.random.split(jax.random.PRNGKey(3), 20)
    few, many = (float(jax.jit(jax.vmap(functools.partial(miss, count)))(keys).mean()) for count in (1, 32))
    assert many < 0.7 * few


def test_pressing_gives_the_forces_that_balance(a_set):
    # Servos kp (goal - q) balance tip forces f where J^T f equals them; contacts that are not used press nothing.
    @jax.jit
    def pressed(key):
        pose, finger = contacts.place(key, HAND, HOME, a_set, 8)
        return pose, finger, contacts.press(HAND, HOME, a_set, pose, finger, 1.0)

    pose, finger, goal = pressed(jax.random.PRNGKey(0))
    normals = np.asarray(rotation.rotate(pose[None, 3:], a_set.normals))
    jacobian = np.asarray(kinematics.keypoints_and_jacobian(HAND, HOME)[1])[np.asarray(finger)]
    torque = -np.einsum("cdn,cd,c->n", jacobian, normals, np.asarray(a_set.used, float))
    np.testing.assert_allclose((goal - HOME) * HAND.kp, torque, atol=1e-5)
