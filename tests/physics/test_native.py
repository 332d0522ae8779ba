"""Laws of the native engine: its step is a function of its arguments alone, and what it computes is MuJoCo's own."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from dexgen_jax.envs.randomization import RandomizationConfig, sample_world
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import scene as scenes
from dexgen_jax.physics import world as worlds

COUNT = 6


@pytest.fixture(scope="module")
def steps(engine):
    """`steps(states, ctrl, worlds)`: a step of each of a batch."""
    return jax.jit(jax.vmap(engine.step))


@pytest.fixture(scope="module")
def situation(engine, steps, grasps):
    """Grasps in the middle of being moved, with joint targets and worlds that all differ."""
    keys = jax.random.split(jax.random.PRNGKey(0), COUNT)
    index = jnp.arange(COUNT) % 2
    draw = jax.jit(jax.vmap(lambda k, i: sample_world(k, engine.object(i), RandomizationConfig())))
    world = draw(keys, index)
    world = world.replace(push=0.3 * jax.random.normal(keys[0], (COUNT, 3)))
    rows = [(g.q[i], g.object_pose[i], g.target[i]) for i in range(COUNT // 2) for g in grasps]  # box, sphere, box, ...
    q, pose, target = (jnp.stack(column) for column in zip(*rows, strict=True))
    ctrl = target + 0.1 * jax.random.normal(keys[1], q.shape)
    state = jax.vmap(engine.init)(jnp.concatenate([q, pose], axis=1))
    state = steps(state, ctrl, world)  # now with velocities and a warm start
    return state, ctrl, world


def assert_same_bits(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), tree, other)


def test_a_step_is_mujocos_own(engine, steps, situation):
    state, ctrl, world = situation
    after = steps(state, ctrl, world)
    for i in range(COUNT):
        one = jax.tree.map(lambda x: np.asarray(x[i]), (state, ctrl, world))  # noqa: B023
        model = scenes.model_of(engine.scene, jax.tree.map(np.asarray, worlds.model_fields(one[2], engine.hand)))
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:], data.qacc_warmstart[:], data.ctrl[:] = *_parts(one[0]), one[1]
        data.xfrc_applied[engine.scene.object_body, :3] = one[2].push
        for _ in range(engines.SUBSTEPS):
            mujoco.mj_step(model, data)
        assert data.ncon > 0
        np.testing.assert_array_equal(after.qpos[i], data.qpos.astype(np.float32))
        np.testing.assert_array_equal(after.qvel[i], data.qvel.astype(np.float32))
        np.testing.assert_array_equal(after.torque[i], data.actuator_force.astype(np.float32))
        np.testing.assert_array_equal(after.touch[i], data.sensordata.astype(np.float32))


def _parts(state):
    return state.qpos, state.qvel, state.warmstart


def test_same_input_same_output_whatever_was_simulated_before(steps, situation):
    state, ctrl, world = situation
    first = steps(state, ctrl, world)
    heavier = world.replace(mass=3 * world.mass, push=-world.push, kp_scale=0.5 * world.kp_scale)
    steps(first, -ctrl, heavier)
    assert_same_bits(first, steps(state, ctrl, world))


def test_the_number_of_threads_changes_nothing(engine, steps, situation):
    objects = [catalog.load(name) for name in ("box_50_50_80", "sphere_64")]
    others = engines.make(engine.hand, objects, "native", threads=3)
    assert_same_bits(steps(*situation), jax.jit(jax.vmap(others.step))(*situation))


def test_a_batch_is_its_members_one_by_one(engine, steps, situation):
    batch = steps(*situation)
    alone = jax.jit(engine.step)
    for i in range(COUNT):
        one = alone(*jax.tree.map(lambda x: x[i], situation))  # noqa: B023
        assert_same_bits(one, jax.tree.map(lambda x: x[i], batch))  # noqa: B023
    pairs = jax.tree.map(lambda x: x.reshape(2, 3, *x.shape[1:]), situation)
    nested = jax.jit(jax.vmap(jax.vmap(engine.step)))(*pairs)
    assert_same_bits(jax.tree.map(lambda x: x.reshape(COUNT, *x.shape[2:]), nested), batch)


def test_a_compiled_scan_is_the_loop(engine, steps, situation):
    state, ctrl, world = situation
    scanned, _ = jax.jit(
        lambda s: jax.lax.scan(lambda s, _: (jax.vmap(engine.step)(s, ctrl, world), None), s, None, length=3)
    )(state)
    for _ in range(3):
        state = steps(state, ctrl, world)
    assert_same_bits(scanned, state)


def test_a_simulation_that_blows_up_is_flagged_alone_and_leaves_nothing_behind(steps, situation):
    state, ctrl, world = situation
    sound = steps(state, ctrl, world)
    broken = steps(state.replace(qvel=state.qvel.at[2].set(1e30)), ctrl, world)
    assert np.asarray(broken.finite).tolist() == [i != 2 for i in range(COUNT)]
    others = np.arange(COUNT) != 2
    np.testing.assert_array_equal(broken.qpos[others], sound.qpos[others])
    assert_same_bits(sound, steps(state, ctrl, world))


def test_a_heavy_object_in_free_flight_keeps_its_energy(engine):
    """MuJoCo takes centres of mass from body_subtreemass: left at the placeholder's, a heavy body gains energy."""
    mass, n = 0.5, engine.hand.num_joints
    thing = engine.object(jnp.asarray(0))
    world = worlds.nominal(thing).replace(mass=jnp.asarray(mass), gravity=jnp.zeros(3))
    q = jnp.asarray(engine.hand.prior.joint_mean, jnp.float32)
    state = engine.init(jnp.concatenate([q, jnp.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])]))
    state = state.replace(qvel=state.qvel.at[n:].set(jnp.array([0.3, -0.2, 1.0, 4.0, 7.0, -5.0])))
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, np.asarray(thing.inertia_quat, float))

    def energy(state):
        v, spin = np.split(np.asarray(state.qvel[n:], float), 2)  # spin in the object's own frame
        about = axes.reshape(3, 3).T @ spin
        return 0.5 * mass * v @ v + 0.5 * mass * np.asarray(thing.inertia) @ about**2

    start = energy(state)
    step = jax.jit(engine.step)
    for _ in range(10):
        state = step(state, q, world)
    np.testing.assert_allclose(energy(state), start, rtol=5e-3)
    np.testing.assert_allclose(state.qvel[n : n + 3], [0.3, -0.2, 1.0], atol=1e-3)
    np.testing.assert_allclose(state.object_pose(engine.hand)[:3], [1.3, -0.2, 1.0], atol=1e-3)
