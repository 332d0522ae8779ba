"""Laws: worlds are drawn from the paper's Table III, and they keep moving without leaving it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.envs.randomization import RandomizationConfig, move_world, sample_world
from dexgen_jax.objects import catalog
from dexgen_jax.physics import world as worlds

CONFIG = RandomizationConfig()
BOX = jax.device_put(catalog.load("box_48_56_64"))
COUNT = 4000


@pytest.fixture(scope="module")
def drawn():
    return jax.jit(jax.vmap(lambda key: sample_world(key, BOX, CONFIG)))(jax.random.split(jax.random.PRNGKey(0), COUNT))


@pytest.fixture(scope="module")
def move():
    return jax.jit(jax.vmap(lambda key, world: move_world(key, world, CONFIG)))


@pytest.mark.parametrize(
    "read, low, high",
    [
        (lambda w: w.mass, 0.03, 0.25),
        (lambda w: w.object_friction, 0.5, 1.2),
        (lambda w: w.hand_friction, 0.5, 1.2),
        (lambda w: w.object.size[:, 0, 0] / BOX.size[0, 0], 0.95, 1.05),
        (lambda w: w.kp_scale, 0.8, 1.1),
        (lambda w: w.kd_scale, 0.7, 1.2),
    ],
    ids="mass object_friction hand_friction size kp kd".split(),
)
def test_ranges_are_table_iii(drawn, read, low, high):
    values = np.asarray(read(drawn))
    assert low - 1e-6 <= values.min() < low + 0.01 * (high - low)
    assert high + 1e-6 >= values.max() > high - 0.01 * (high - low)
    np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.02 * (high - low))


def test_noise_and_pushes_are_table_iii():
    assert (CONFIG.start_joints, CONFIG.action_noise) == (0.05, 0.05)
    assert (CONFIG.joint_noise, CONFIG.joint_offset) == (0.025, 0.005)
    assert (CONFIG.push_acceleration, CONFIG.push_probability, CONFIG.push_decay) == (1.0, 0.2, 0.99)


def test_draws_are_independent_of_each_other(drawn):
    columns = [drawn.mass, drawn.object_friction, drawn.hand_friction, drawn.kp_scale, drawn.kd_scale]
    columns += [drawn.object.size[:, 0, 0], drawn.gravity[:, 0], drawn.gravity[:, 1]]
    correlation = np.corrcoef(np.stack(columns)) - np.eye(len(columns))
    assert np.abs(correlation).max() < 0.06


def test_gravity_comes_from_every_side_evenly_and_with_its_full_strength(drawn):
    np.testing.assert_allclose(np.linalg.norm(drawn.gravity, axis=1), worlds.STANDARD_GRAVITY, rtol=1e-5)
    unit = np.asarray(drawn.gravity) / worlds.STANDARD_GRAVITY
    np.testing.assert_allclose(unit.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(unit.T @ unit / COUNT, np.eye(3) / 3, atol=0.03)


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_a_smaller_gravity_angle_keeps_the_palm_up(angle):
    config = RandomizationConfig(gravity_angle=angle)
    draw = jax.jit(jax.vmap(lambda key: sample_world(key, BOX, config).gravity))
    gravity = np.asarray(draw(jax.random.split(jax.random.PRNGKey(1), 500)))
    cosine = gravity @ np.array(worlds.PALM_UP) / worlds.STANDARD_GRAVITY**2
    assert float(cosine.min()) >= np.cos(angle) - 1e-5
    assert float(cosine.min()) <= np.cos(angle) + 0.01


def test_the_wrist_turns_slowly_and_gravity_keeps_its_strength(drawn, move):
    keys = jax.random.split(jax.random.PRNGKey(2), COUNT)
    after = move(keys, drawn)
    np.testing.assert_allclose(np.linalg.norm(after.gravity, axis=1), worlds.STANDARD_GRAVITY, rtol=1e-5)
    cosine = np.sum(np.asarray(after.gravity) * drawn.gravity, axis=1) / worlds.STANDARD_GRAVITY**2
    # Two directions across gravity, each with 0.05 rad of standard deviation.
    np.testing.assert_allclose(np.mean(np.arccos(np.clip(cosine, -1, 1)) ** 2), 2 * 0.05**2, rtol=0.1)


def test_a_smaller_cap_is_never_left_and_is_filled_evenly():
    config, cap = RandomizationConfig(gravity_walk=0.1), 0.6
    draw = jax.jit(jax.vmap(lambda key: sample_world(key, BOX, config, cap)))
    start = draw(jax.random.split(jax.random.PRNGKey(5), COUNT))
    walk = lambda world, key: (
        jax.vmap(lambda k, w: move_world(k, w, config, cap))(jax.random.split(key, COUNT), world),
        None,
    )
    after = jax.jit(lambda w: jax.lax.scan(walk, w, jax.random.split(jax.random.PRNGKey(6), 30))[0])(start)
    cosine = np.asarray(after.gravity) @ np.array(worlds.PALM_UP) / worlds.STANDARD_GRAVITY**2
    assert cosine.min() >= np.cos(cap) - 1e-5
    # Evenly over the cap: the cosine is uniform between cos(cap) and 1.
    share = (cosine - np.cos(cap)) / (1 - np.cos(cap))
    np.testing.assert_allclose(np.histogram(share, 5, (0, 1))[0] / COUNT, 0.2, atol=0.03)
    stay = jax.jit(jax.vmap(lambda k, w: move_world(k, w, config, 0.0)))
    still = stay(jax.random.split(jax.random.PRNGKey(7), COUNT), after)
    np.testing.assert_allclose(still.gravity, np.tile(worlds.PALM_UP, (COUNT, 1)), atol=1e-5)


def test_gravity_stays_in_a_band_and_a_wrist_at_speed_turns_at_that_speed():
    band = RandomizationConfig(gravity_least_angle=1.0, gravity_angle=2.0, gravity_walk=0.3)
    angle = lambda world: np.arccos(np.asarray(world.gravity) @ np.array(worlds.PALM_UP) / worlds.STANDARD_GRAVITY**2)

    def after(config, steps):
        start = jax.vmap(lambda key: sample_world(key, BOX, config))(jax.random.split(jax.random.PRNGKey(8), 500))
        step = lambda world, key: (
            jax.vmap(lambda k, w: move_world(k, w, config))(jax.random.split(key, 500), world),
            None,
        )
        moved = jax.lax.scan(step, start, jax.random.split(jax.random.PRNGKey(9), steps))[0]
        return start, moved

    for world in jax.jit(lambda: after(band, 20))():
        assert 1.0 - 1e-3 <= angle(world).min() < 1.1 and 1.9 < angle(world).max() <= 2.0 + 1e-3
    turning = RandomizationConfig(gravity_walk=0.0, wrist_speed=0.5)
    start, moved = jax.jit(lambda: after(turning, 10))()  # 1 s
    np.testing.assert_allclose(np.linalg.norm(start.turn, axis=1), 0.5, rtol=1e-5)
    axis = start.turn / 0.5
    across = lambda world: world.gravity - jnp.sum(world.gravity * axis, axis=1, keepdims=True) * axis
    cosine = jnp.sum(across(start) * across(moved), 1) / jnp.sum(across(start) ** 2, 1)
    np.testing.assert_allclose(np.median(np.arccos(np.clip(cosine, -1, 1))), 0.5, rtol=1e-3)


def test_pushes_arrive_now_and_then_in_proportion_to_the_mass_and_fade(drawn, move):
    old = drawn.replace(push=jnp.ones((COUNT, 3)))
    push = np.asarray(move(jax.random.split(jax.random.PRNGKey(3), COUNT), old).push)
    faded = np.isclose(push, 0.99).all(axis=1)
    np.testing.assert_allclose(faded.mean(), 0.8, atol=0.03)
    new = push[~faded] / np.asarray(drawn.mass)[~faded, None]
    np.testing.assert_allclose(new.std(axis=0), 1.0, rtol=0.1)
    np.testing.assert_allclose(new.mean(axis=0), 0.0, atol=0.1)


def test_nothing_else_of_a_world_changes_in_an_episode(drawn, move):
    after = move(jax.random.split(jax.random.PRNGKey(4), COUNT), drawn)
    same = lambda w: w.replace(gravity=jnp.zeros(3), push=jnp.zeros(3))
    jax.tree.map(np.testing.assert_array_equal, same(after), same(drawn))


@pytest.mark.parametrize("changes, message", [
    ({"mass": (0.0, 0.1)}, r"randomization.mass must lie in order within 1e-06 .. .*, got \(0.0, 0.1\)"),
    ({"size": (1.1, 0.9)}, r"randomization.size .* got \(1.1, 0.9\)"),
    ({"gravity_angle": float("nan")}, "randomization.gravity_angle .* got nan"),
    ({"gravity_angle": 0.5, "gravity_least_angle": 0.6}, "gravity_least_angle is 0.6, more than gravity_angle, 0.5"),
    ({"push_probability": 1.5}, r"randomization.push_probability must lie in order within 0.0 .. 1.0, got 1.5"),
])  # fmt: skip
def test_ranges_no_world_can_be_drawn_from_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        RandomizationConfig(**changes)
