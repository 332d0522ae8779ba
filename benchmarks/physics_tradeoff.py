"""What a physics step may cost: settings of the simulator against a fine reference, and against the clock.

Time: about 15 minutes on 2 CPU cores. Expected: the table of docs/physics.md.
Command: python benchmarks/physics_tradeoff.py [--grasps=<folder>] [--count=500]

`--count` grasps are held for 2 s, and as many moved by joint targets that wander for 2 s, gravity from a random side.
Every setting starts from the same states as its reference: 1 ms, 100 iterations, the same friction stiffness. Contact
is chaotic, so the rows "1 um away" say how far two runs of a reference part that start a micrometre apart: no setting
can be closer. Cost is processor time, which other work disturbs little. The last line is one JSON object.
"""

import argparse
import copy
import dataclasses
import json
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from dexgen_jax.grasps import library
from dexgen_jax.hand import allegro
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import native
from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.engine import Engine

CONTROL_STEPS = 20
WANDER = 0.15  # rad of joint target per control step at most: what a policy may do
LOST = 0.05  # m from its start
ROUNDS = 2  # the best of these counts


@dataclasses.dataclass(frozen=True)
class Setting:
    """One way to step 0.1 s."""

    substeps: int = 10
    cone: str = "elliptic"
    iterations: int = 20
    friction_stiffness: float = 10.0  # MuJoCo's impratio
    self_contact: bool = True
    away: float = 0.0  # m, shift of the object at the start

    @property
    def reference(self) -> str:
        return f"1 ms, impratio {self.friction_stiffness:g}"


SETTINGS = {
    "1 ms, impratio 10": Setting(100, iterations=100),
    "1 ms, impratio 10, 1 um away": Setting(100, iterations=100, away=1e-6),
    "5 ms": Setting(20),
    "10 ms (ours)": Setting(),
    "10 ms, 10 iterations": Setting(iterations=10),
    "10 ms, 5 iterations": Setting(iterations=5),
    "10 ms, no self contact": Setting(self_contact=False),
    "10 ms, pyramids": Setting(cone="pyramidal"),
    "12.5 ms": Setting(8),
    "20 ms": Setting(5),
    "1 ms, impratio 1": Setting(100, iterations=100, friction_stiffness=1.0),
    "1 ms, impratio 1, 1 um away": Setting(100, iterations=100, friction_stiffness=1.0, away=1e-6),
    "10 ms, impratio 1": Setting(friction_stiffness=1.0),
    "10 ms, impratio 1, 5 iterations": Setting(friction_stiffness=1.0, iterations=5),
    "1 ms, impratio 100": Setting(100, iterations=100, friction_stiffness=100.0),
    "10 ms, impratio 100": Setting(friction_stiffness=100.0),
}


def configure(engine: Engine, setting: Setting) -> Engine:
    """An engine of the same scene that steps as `setting` says."""
    model = copy.copy(engine.scene.model)
    model.opt.timestep = 1 / (engines.CONTROL_HZ * setting.substeps)
    model.opt.cone = getattr(mujoco.mjtCone, f"mjCONE_{setting.cone.upper()}")
    model.opt.iterations, model.opt.impratio = setting.iterations, setting.friction_stiffness
    if not setting.self_contact:
        thing = np.arange(model.ngeom) >= engine.scene.slots.start
        model.geom_contype[:], model.geom_conaffinity[:] = ~thing, thing
    scene = dataclasses.replace(engine.scene, model=model)
    return dataclasses.replace(engine, scene=scene, advance=native.advance(scene, setting.substeps, 0))


def wandering(key: jax.Array, start: jax.Array, moved: jax.Array, hand: Hand) -> jax.Array:
    """Joint targets (steps, N, n) [rad] that stay at `start` (N, n) or, where `moved` (N,), wander smoothly."""
    noise = jax.random.uniform(key, (CONTROL_STEPS, *start.shape), minval=-1.0)
    smooth = jax.lax.scan(lambda last, new: (0.7 * last + 0.3 * new,) * 2, jnp.zeros_like(start), noise)[1]
    return jnp.clip(start[None] + WANDER * jnp.cumsum(smooth, 0) * moved[None, :, None], hand.lower, hand.upper)


def situation(engine: Engine, names: tuple[str, ...], folder: str, count: int) -> tuple:
    """Returns qpos (2 count, n + 7), targets (steps, 2 count, n), worlds: grasps drawn from all of `names`."""
    rng = np.random.default_rng(0)
    grasps = [library.load(folder, name, engine.hand.name) for name in names]
    index = rng.integers(len(names), size=2 * count)
    rows = [rng.integers(len(grasps[i])) for i in index]
    q, target, pose = (
        jnp.asarray(np.stack([getattr(grasps[i], field)[row] for i, row in zip(index, rows, strict=True)]))
        for field in ("q", "target", "object_pose")
    )
    gravity = rng.normal(size=(2 * count, 3))
    gravity *= worlds.STANDARD_GRAVITY / np.linalg.norm(gravity, axis=1, keepdims=True)
    nominal = lambda i, g: worlds.nominal(engine.object(i)).replace(gravity=g)
    world = jax.vmap(nominal)(jnp.asarray(index), jnp.asarray(gravity, jnp.float32))
    moved = jnp.arange(2 * count) >= count
    return jnp.concatenate([q, pose], 1), wandering(jax.random.PRNGKey(0), target, moved, engine.hand), world


def program(engine: Engine, qpos: jax.Array, targets: jax.Array, world: worlds.World) -> Callable[[], np.ndarray]:
    """Returns a compiled run that gives the objects' poses (N, 7) at its end."""

    def run(qpos: jax.Array) -> jax.Array:
        step = lambda state, target: (jax.vmap(engine.step)(state, target, world), None)
        state, _ = jax.lax.scan(step, jax.vmap(engine.init)(qpos), targets)
        return state.qpos[:, engine.hand.num_joints :]

    compiled = jax.jit(run).lower(qpos).compile()
    return lambda: np.asarray(compiled(qpos))


def compare(end: np.ndarray, reference: np.ndarray, start: np.ndarray) -> dict[str, float]:
    """How far poses (N, 7) end from the reference's, and the share of objects lost."""
    apart = 1e3 * np.linalg.norm(end[:, :3] - reference[:, :3], axis=1)
    turn = 2 * np.arccos(np.clip(np.abs(np.sum(end[:, 3:] * reference[:, 3:], axis=1)), 0, 1))
    lost = np.linalg.norm(end[:, :3] - start[:, :3], axis=1) > LOST
    return {
        "mm": np.median(apart),
        "mm_p75": np.percentile(apart, 75),
        "degrees": np.degrees(np.median(turn)),
        "lost": lost.mean(),
    }


def main() -> None:
    """Reads the command line, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grasps", default="shipped", help="a folder of grasp files, or the shipped ones")
    parser.add_argument("--objects", default="train", help="a set of the catalogue or names with commas")
    parser.add_argument("--count", type=int, default=500)
    args = parser.parse_args()
    names = catalog.names(args.objects)
    engine = engines.make(allegro.load(), [catalog.load(name) for name in names], "native")
    qpos, targets, world = situation(engine, names, args.grasps, args.count)
    n = engine.hand.num_joints
    runs, ends, seconds = {}, {}, dict.fromkeys(SETTINGS, np.inf)
    for name, setting in SETTINGS.items():
        runs[name] = program(configure(engine, setting), qpos.at[:, n].add(setting.away), targets, world)
        ends[name] = runs[name]()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds[name] = min(seconds[name], time.process_time() - start)
    result = {}
    for name, setting in SETTINGS.items():
        row = {"cost": seconds[name] / seconds["10 ms (ours)"]}
        for kind, part in {"held": slice(0, args.count), "moved": slice(args.count, None)}.items():
            found = compare(ends[name][part], ends[setting.reference][part], np.asarray(qpos[part, n:]))
            row |= {f"{kind}_{key}": value for key, value in found.items()}
        result[name] = {key: round(float(value), 3) for key, value in row.items()}
        print(f"| {name} | " + " | ".join(f"{value:g}" for value in result[name].values()) + " |", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
