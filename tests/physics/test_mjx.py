"""Laws: MJX-JAX runs the same worlds as MuJoCo C. Differences that remain are explained in docs/physics.md."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.hand import allegro, rotation
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds

NAMES = ("box_50_50_80", "sphere_64")


@pytest.fixture(scope="module")
def mjx_engine():
    return engines.make(allegro.load(), [catalog.load(name) for name in NAMES], "mjx")


@pytest.fixture(scope="module")
def run(engine, mjx_engine):
    """Runs both engines for some control steps from the same batch of states; returns both ends."""

    def simulate(steps, index, qpos, qvel, target):
        ends = []
        for one in (engine, mjx_engine):
            world = jax.vmap(lambda i: worlds.nominal(one.object(i)))(jnp.asarray(index))  # noqa: B023
            state = jax.vmap(one.init)(qpos).replace(qvel=qvel)
            step = jax.jit(jax.vmap(one.step))
            for _ in range(steps):
                state = step(state, target, world)
            ends.append(jax.device_get(state))
        return ends

    return simulate


@pytest.fixture(scope="module")
def flight_and_hold(engine, grasps, run):
    """Two grasps held, one of a box and one of a sphere, and two objects that fly freely; after 0.2 s."""
    n = engine.hand.num_joints
    rows = [(g.q[0], g.object_pose[0], g.target[0]) for g in grasps]
    away = np.float32([1.0, 0.2, -0.3, 0.5, 0.5, -0.5, 0.5])
    rows += [(g.q[0], away, g.target[0]) for g in grasps]
    q, pose, target = (np.stack(column) for column in zip(*rows, strict=True))
    qvel = np.zeros((4, n + 6), np.float32)
    qvel[2:, n:] = [0.3, -0.2, 1.0, 0.8, 1.4, -1.0]  # it turns at 1.9 rad/s
    return run(2, [0, 1, 0, 1], jnp.asarray(np.concatenate([q, pose], 1)), jnp.asarray(qvel), target)


def test_free_flight_is_the_same(engine, flight_and_hold):
    native, mjx = (end.qpos[2:, engine.hand.num_joints :] for end in flight_and_hold)
    np.testing.assert_allclose(mjx, native, atol=1e-4)
    assert abs(native[:, 0] - 1.0).min() > 0.1  # they did fly


@pytest.mark.parametrize("row, metres, degrees, radians", [(0, 2e-3, 2.0, 0.03), (1, 1e-4, 0.1, 1e-3)], ids=NAMES)
def test_held_objects_stay_together(engine, flight_and_hold, row, metres, degrees, radians):
    n = engine.hand.num_joints
    native, mjx = (jnp.asarray(end.qpos[row]) for end in flight_and_hold)
    np.testing.assert_allclose(mjx[:n], native[:n], atol=radians)
    np.testing.assert_allclose(mjx[n : n + 3], native[n : n + 3], atol=metres)
    assert float(jnp.degrees(rotation.angle_between(mjx[n + 3 :], native[n + 3 :]))) < degrees


def test_readouts_are_the_same(flight_and_hold):
    native, mjx = flight_and_hold
    assert native.touch[1].sum() > 1
    np.testing.assert_allclose(mjx.touch[1], native.touch[1], rtol=0.05, atol=0.05)
    np.testing.assert_allclose(mjx.torque[1], native.torque[1], atol=5e-3)
