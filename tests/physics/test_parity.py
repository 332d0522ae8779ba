"""Every family of objects on every engine: free flight, and a grasp held for a second. The table of docs/physics.md:

pytest tests/physics/test_parity.py -m slow -s [-k warp]
"""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import library
from dexgen_jax.hand import allegro, rotation
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds

pytestmark = pytest.mark.slow

FAMILIES = {catalog.family(name): name for name in (*catalog.HELD_OUT, *catalog.TRAIN)}
GRASPS = 12
NEEDS_WARP = pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="warp is not installed")


def _pose(state):
    return np.asarray(jax.vmap(lambda s: s.object_pose(allegro.load()))(state))


def _after(engine, qpos, qvel, target, gravity, steps):
    world = jax.vmap(lambda _: worlds.nominal(engine.object(0)).replace(gravity=gravity))(jnp.arange(len(qpos)))
    step = jax.jit(jax.vmap(engine.step))
    state = jax.vmap(engine.init)(qpos).replace(qvel=qvel)
    for _ in range(steps):
        state = step(state, target, world)
    return jax.device_get(state)


@pytest.mark.parametrize("backend", ["mjx", pytest.param("warp", marks=NEEDS_WARP)])
@pytest.mark.parametrize("family", FAMILIES)
def test_native_and_the_others_agree(family, backend, capsys):
    hand, thing = allegro.load(), catalog.load(FAMILIES[family])
    native, other = (engines.make(hand, [thing], name) for name in ("native", backend))
    found = library.load("shipped", FAMILIES[family], hand.name)
    rows = np.linspace(0, len(found.q) - 1, GRASPS).astype(int)
    q, target, pose = found.q[rows], found.target[rows], found.object_pose[rows]
    gravity = jnp.asarray(worlds.PALM_UP)
    away = pose.copy()
    away[:, 0] = 1.0  # far from the hand, and thrown
    fast = np.zeros((len(away), hand.num_joints + 6), np.float32)
    fast[:, hand.num_joints :] = [0.3, -0.2, 1.0, 0.8, 1.4, -1.0]
    ends = {}
    for name, engine in (("native", native), (backend, other)):
        flight = _after(engine, np.concatenate([q, away], 1), fast, target, gravity, 2)
        held = _after(engine, np.concatenate([q, pose], 1), 0 * fast, target, gravity, 10)
        ends[name] = _pose(flight), _pose(held), held.touch.sum(-1)
    (flight, held, touch), (flight_other, held_other, touch_other) = ends["native"], ends[backend]
    off = np.abs(flight - flight_other).max()
    mm = 1e3 * np.linalg.norm(held[:, :3] - held_other[:, :3], axis=1)
    degrees = np.degrees(jax.vmap(rotation.angle_between)(held[:, 3:], held_other[:, 3:]))
    press = np.abs(touch_other / touch - 1)
    with capsys.disabled():
        print(
            f"\n| {family} | {backend} | {off:.1e} | {np.median(mm):.2f} ({mm.max():.2f}) | {np.median(degrees):.2f} "
            f"({degrees.max():.1f}) | {100 * np.median(press):.1f}% ({100 * press.max():.0f}%) |"
        )
    # The differences that are larger are MJX-JAX's own, see docs/physics.md.
    loose = 3.0 if backend == "mjx" else 1.0
    assert off < 1e-4 * loose
    assert np.median(mm) < 1.0 and np.median(degrees) < 2.0 * loose and np.median(press) < 0.05 * loose
