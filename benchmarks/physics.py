"""How fast and how large physics is: the engine in a compiled program against bare MuJoCo, MJX, one and many shapes.

Time: about 4 minutes on 2 free CPU cores, of which MJX takes most (`--skip_mjx` leaves it out).
Expected on 2 cores: native_over_bare >= 0.85, native_over_mjx >= 15, mixed_over_single >= 0.8, memory_gb_8192 < 2.
Command: python benchmarks/physics.py [--engine=native|mjx|warp] [--envs=1,256,2048] [--threads=0]

Every environment holds an object in a closed hand, 10 physics steps to a control step. Nothing else may run on the
machine: the figures are wall-clock. The last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from mujoco.batch import Batch
from peak_memory import peak_gb

from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.engine import Engine
from dexgen_jax.physics.state import PhysicsState

SINGLE, MIXED = ("box_48_56_64",), catalog.names("train")
SECONDS = 3.0  # wall-clock of one round, at least
ROUNDS = 3  # the best of these counts: whatever disturbs a measurement makes it slower


def situation(engine: Engine, envs: int) -> tuple[PhysicsState, jax.Array, worlds.World]:
    """Hands closed on the engine's objects in turn, without gravity so that nothing is lost before it is measured."""
    hand, rng = engine.hand, np.random.default_rng(0)
    index = jnp.arange(envs) % len(engine.objects.kind)
    world = jax.vmap(lambda i: worlds.nominal(engine.object(i), (0, 0, 0)))(index)
    q = np.clip(rng.normal(hand.prior.joint_mean, 0.2, (envs, hand.num_joints)), hand.lower, hand.upper)
    turn = rng.normal(size=(envs, 4))
    place = np.tile(hand.prior.object_position, (envs, 1))
    qpos = np.concatenate([q, place, turn / np.linalg.norm(turn, axis=1, keepdims=True)], axis=1, dtype=np.float32)
    target = jnp.asarray(np.clip(q + 0.6 * hand.prior.closing, hand.lower, hand.upper), jnp.float32)
    return run(engine, target, world, 12)(jax.vmap(engine.init)(qpos)), target, world


def run(engine: Engine, target: jax.Array, world: worlds.World, steps: int) -> Callable[[PhysicsState], PhysicsState]:
    """The program that is measured: jit of a scan of vmapped control steps."""
    step = lambda state, _: (jax.vmap(engine.step)(state, target, world), None)
    return jax.jit(lambda state: jax.lax.scan(step, state, None, length=steps)[0])


def rate(simulate: Callable[[], object], control_steps: int) -> float:
    """Control steps a second of `simulate()`, which makes `control_steps` of them and waits."""
    simulate()
    best = 0.0
    for _ in range(ROUNDS):
        calls, start = 0, time.perf_counter()
        while (taken := time.perf_counter() - start) < SECONDS:
            simulate()
            calls += 1
        best = max(best, calls * control_steps / taken)
    return best


def engine_rate(engine: Engine, envs: int, steps: int, start: Engine | None = None) -> float:
    """Control steps a second of an engine inside jit, vmap and scan; every call starts from the same grasps.

    `start` is the engine that closes the hands, by default the one that is measured.
    """
    state, target, world = situation(start or engine, envs)
    program = run(engine, target, world, steps)
    return rate(lambda: jax.block_until_ready(program(state)), envs * steps)


def bare_rate(engine: Engine, envs: int, steps: int, threads: int) -> float:
    """The same grasps stepped by a loop around `mujoco.batch.Batch`, which keeps its state to itself."""
    state, target, world = jax.device_get(situation(engine, envs))
    fields = jax.device_get(jax.vmap(lambda w: worlds.model_fields(w, engine.hand))(world))
    batch = Batch(engine.scene.model, nsim=envs, nthread=threads)
    for name, value in fields.items():
        batch.expand(name)[engine.scene.batch_rows(name)] = value

    def simulate() -> None:
        batch.bind("qpos")[:], batch.bind("qvel")[:] = state.qpos, state.qvel
        batch.bind("qacc_warmstart")[:] = state.warmstart
        for _ in range(steps):
            batch.bind("ctrl")[:] = target
            batch.step(nstep=engines.SUBSTEPS)

    return rate(simulate, envs * steps)


def memory_gb(engine: Engine, envs: int) -> float:
    """Peak memory [GB] of this process, or of the accelerator, after stepping `envs` environments."""
    state, target, world = situation(engine, envs)
    jax.block_until_ready(run(engine, target, world, 1)(state))
    stats = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 1e9
    return peak_gb()


def measure(args: argparse.Namespace) -> dict:
    """All figures; those that compare with native are left out for another engine."""
    make = lambda names, backend=args.engine: engines.make(
        allegro.load(), [catalog.load(name) for name in names], backend, args.threads
    )
    single, mixed = make(SINGLE), make(MIXED)
    sizes = [int(n) for n in args.envs.split(",")]
    result = {"engine": single.name, "device": jax.devices()[0].device_kind, "envs": sizes}
    for name, engine in {"single": single, "mixed": mixed}.items():
        result[f"control_steps_per_second_{name}"] = [engine_rate(engine, n, args.steps) for n in sizes]
        print(name, result[f"control_steps_per_second_{name}"], flush=True)
    singles, mixes = (result[f"control_steps_per_second_{name}"] for name in ("single", "mixed"))
    result |= {"control_steps_per_second": mixes[-1], "mixed_over_single": mixes[-1] / singles[-1]}
    if single.name == "native":
        result["native_over_bare"] = singles[-1] / bare_rate(single, sizes[-1], args.steps, args.threads)
        if not args.skip_mjx:
            result["native_over_mjx"] = engine_rate(single, 16, 1) / engine_rate(make(SINGLE, "mjx"), 16, 1, single)
    command = [sys.executable, __file__, "--memory", f"--engine={single.name}", f"--threads={args.threads}"]
    result["memory_gb_8192"] = float(subprocess.check_output(command, text=True).split()[-1])  # a process of its own
    return result


def main() -> None:
    """Reads the command line, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="auto", choices=engines.BACKENDS)
    parser.add_argument("--envs", default="1,256,2048", help="numbers of environments, the last one counts")
    parser.add_argument("--steps", type=int, default=10, help="control steps in one compiled scan")
    parser.add_argument("--threads", type=int, default=0, help="of the native engine; 0 is all cores")
    parser.add_argument("--skip_mjx", action="store_true", help="leave out MJX on the CPU, which takes minutes")
    parser.add_argument("--memory", action="store_true", help="only print the memory of 8192 environments [GB]")
    args = parser.parse_args()
    if args.memory:
        objects = [catalog.load(name) for name in MIXED]
        print(memory_gb(engines.make(allegro.load(), objects, args.engine, args.threads), 8192))
        return
    result = measure(args)
    print(json.dumps({k: np.round(v, 3).tolist() if isinstance(v, float | list) else v for k, v in result.items()}))


if __name__ == "__main__":
    main()
