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
            world = jax.jit(jax.vmap(lambda i: worlds.nominal(one.object(i))))(jnp.asarray(index))  # noqa: B023
            state = jax.jit(jax.vmap(one.init))(qpos).replace(qvel=qvel)
            step = jax.jit(jax.vmap(one.step))
            for _ in range(steps):
                state = step(state, target, world)
            ends.append(jax.device_get(state))
        return ends

    return simulate


HELD = 5  # grasps of each object


@pytest.fixture(scope="module")
def flight_and_hold(engine, grasps, run):
    """`HELD` grasps of a box, as many of a sphere, and one of each object flying freely; after 0.2 s."""
    n = engine.hand.num_joints
    rows = [(g.q[i], g.object_pose[i], g.target[i]) for g in grasps for i in range(HELD)]
    away = np.float32([1.0, 0.2, -0.3, 0.5, 0.5, -0.5, 0.5])
    rows += [(g.q[0], away, g.target[0]) for g in grasps]
    q, pose, target = (np.stack(column) for column in zip(*rows, strict=True))
    qvel = np.zeros((len(rows), n + 6), np.float32)
    qvel[-2:, n:] = [0.3, -0.2, 1.0, 0.8, 1.4, -1.0]  # it turns at 1.9 rad/s
    which = [0] * HELD + [1] * HELD + [0, 1]
    return run(2, which, jnp.asarray(np.concatenate([q, pose], 1)), jnp.asarray(qvel), target)


def test_free_flight_is_the_same(engine, flight_and_hold):
    native, mjx = (end.qpos[-2:, engine.hand.num_joints :] for end in flight_and_hold)
    np.testing.assert_allclose(mjx, native, atol=1e-4)
    assert abs(native[:, 0] - 1.0).min() > 0.1  # they did fly


@pytest.mark.parametrize("thing, metres, degrees, radians", [(0, 1e-3, 2.0, 0.03), (1, 1e-4, 0.3, 1e-3)], ids=NAMES)
def test_held_objects_stay_together(engine, flight_and_hold, thing, metres, degrees, radians):
    # Medians: at an edge MuJoCo C gives a box two contacts where MJX gives one, and single grasps differ by more.
    n = engine.hand.num_joints
    native, mjx = (jnp.asarray(end.qpos[thing * HELD : (thing + 1) * HELD]) for end in flight_and_hold)
    angle = jax.vmap(rotation.angle_between)(mjx[:, n + 3 :], native[:, n + 3 :])
    assert float(jnp.median(jnp.abs(mjx - native)[:, :n].max(1))) < radians
    assert float(jnp.median(jnp.linalg.norm((mjx - native)[:, n : n + 3], axis=1))) < metres
    assert float(jnp.median(jnp.degrees(angle))) < degrees


def test_readouts_are_the_same(flight_and_hold):
    native, mjx = (jax.tree.map(lambda x: x[HELD], end) for end in flight_and_hold)  # a sphere
    assert native.touch.sum() > 1
    np.testing.assert_allclose(mjx.touch, native.touch, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(mjx.torque, native.torque, atol=5e-3)
