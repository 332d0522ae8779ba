"""How fast the guided controller acts: paper size and small, one hand and many, beside PyTorch and the memory's limit.

Time: about 2 minutes on 2 free CPU cores; PyTorch is left out where torch is not installed.
Expected on 2 cores: paper8_p50_ms <= 6, small8_p50_ms <= 1.2, p99 <= 2 x p50, batch256_speedup >= 5,
speedup_over_torch >= 3 at either size; the paper's own figure is 27 ms on an RTX 4090.
Command: python benchmarks/sampler.py [--calls=2000] [--skip_torch]

One call is the whole control tick: readings and a command in, a safe joint target out, guidance on. Untrained weights;
they cost the same. Nothing else may run on the machine: `others_busy` says how many cores other processes kept busy.
PyTorch is timed in turn with JAX, so that a disturbance meets both, as written and compiled, with weights of 32 bits
and, `half`, of 16, as ours are where they are large. `whole_matrices` is our tick without
`cpu_inference.for_one_hand`, see docs/sampler.md. The last line is one JSON object, times in ms.
"""

import argparse
import dataclasses
import functools
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.controller import commands, controller, cpu_inference
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.tick_input import TickInput
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer

PAPER = Model(width=768, encoder_width=1024, inverse_width=512)
# The shape of the shipped controller: wide and shallow, its denoiser's matrices fit into a core's second-level cache.
SMALL = Model(width=256, depth=1, encoder_width=256, encoder_layers=2, inverse_width=192, inverse_blocks=3)
BATCH = 256


def untrained(model: Model) -> Weights:
    """Random networks and a plausible normaliser: they cost what trained ones cost."""
    shape, joints = (model.history, windows.condition_size(model.hand)), model.hand.num_joints
    statistics = Normalizer(
        jnp.zeros(shape), jnp.ones(shape), jnp.full(model.horizon, 0.005), jnp.zeros(joints), jnp.full(joints, 0.05)
    )
    return Weights(**jax.jit(model.initial_parameters)(jax.random.PRNGKey(0)), normalizer=statistics)


def readings(model: Model) -> tuple[controller.State, TickInput]:
    """What one call of `act` takes after the weights."""
    q = jnp.asarray(model.hand.prior.joint_mean, jnp.float32)
    command = commands.Command(jnp.full(model.motion_shape[1:], 0.01), jnp.ones(model.hand.num_keypoints), q + 0.1)
    tick = TickInput(q=q, target=q, command=command, key=jax.random.PRNGKey(1))
    return controller.reset(model, q, q), jax.tree.map(jnp.asarray, tick)


def acting(model: Model, rearranged: bool = True) -> Callable[[], None]:
    """Returns a compiled call of `act` for one hand, its weights `rearranged` as in `Controller` or whole."""
    weights = untrained(model)
    if rearranged:
        model, weights = cpu_inference.for_one_hand(model, weights)
    arguments = weights, *readings(model)
    compiled = jax.jit(functools.partial(controller.act, model)).lower(*arguments).compile()
    return lambda: jax.block_until_ready(compiled(*arguments))


def acting_in_class(model: Model) -> Callable[[], None]:
    """Returns a call of `Controller.act`, with a command of joints and all that a host does around the tick."""
    robot = controller.Controller(model, untrained(model))
    q = np.asarray(model.hand.prior.joint_mean, np.float32)
    robot.reset(q)
    return lambda: robot.act(q, q, q + np.float32(0.1), alpha=750.0)


def acting_in_batch(model: Model, batch: int) -> Callable[[], None]:
    """Returns a compiled call of `act` for `batch` hands, each with its own random key."""
    state, tick = jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, *jnp.shape(x))), readings(model))
    arguments = untrained(model), state, dataclasses.replace(tick, key=jax.random.split(tick.key[0], batch))
    act = jax.vmap(functools.partial(controller.act, model), in_axes=(None, 0, 0))
    compiled = jax.jit(act).lower(*arguments).compile()
    return lambda: jax.block_until_ready(compiled(*arguments))


def times(call: Callable[[], None], calls: int) -> np.ndarray:
    """Wall-clock milliseconds of each of `calls` calls, the first ones left out."""
    for _ in range(10):
        call()
    taken = np.empty(calls)
    for i in range(calls):
        start = time.perf_counter()
        call()
        taken[i] = 1e3 * (time.perf_counter() - start)
    return taken


def summary(name: str, taken: np.ndarray) -> dict[str, float]:
    """Median, 99th percentile and worst, by name."""
    found = {"p50": np.median(taken), "p99": np.percentile(taken, 99), "worst": taken.max()}
    return {f"{name}_{key}_ms": round(float(value), 3) for key, value in found.items()}


def reading_time(model: Model, calls: int) -> float:
    """Milliseconds to read the denoiser's weights once per step, the others once, as one hand's tick keeps them."""
    _, weights = cpu_inference.for_one_hand(model, untrained(model))
    sizes = {name: sum(x.nbytes for x in jax.tree.leaves(tree)) for name, tree in weights.denoiser["params"].items()}
    each_step = sum(size for name, size in sizes.items() if name.startswith(("entry", "down", "up", "exit")))
    once = sum(sizes.values()) - each_step + sum(x.nbytes for x in jax.tree.leaves(weights.inverse_dynamics))

    def words(size: int) -> jax.Array:
        return jnp.ones((16, size // 4 // 16 // 768, 768))

    def read(words: jax.Array) -> jax.Array:
        # Sixteen streams added row by row: XLA gives the rows to all cores, which it does not do with a plain sum.
        total = sum(words[i] for i in range(16))
        return jnp.ones(len(total)) @ total

    def tick(step: jax.Array, rest: jax.Array) -> jax.Array:
        def again(seen: jax.Array, _: None) -> tuple[jax.Array, None]:
            return seen + read(jax.lax.optimization_barrier((step, seen))[0]), None  # else it is read only once

        return jax.lax.scan(again, read(rest), length=model.sampling_steps)[0]

    arguments = words(each_step), words(once)
    compiled = jax.jit(tick).lower(*arguments).compile()
    return float(np.median(times(lambda: jax.block_until_ready(compiled(*arguments)), calls)))


def main() -> None:
    """Measures, prints lines as it goes, and one JSON object at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2000, help="timed calls of each program")
    parser.add_argument("--skip_torch", action="store_true")
    options = parser.parse_args()
    result: dict[str, object] = {"device": jax.devices()[0].device_kind}

    def note(found: dict[str, object]) -> None:
        result.update(found)
        print(*(f"{key} {value}" for key, value in found.items()), flush=True)

    few, begin = max(options.calls // 20, 5), cpu_seconds()
    for name, model in {"paper": PAPER, "small": SMALL}.items():
        for steps in (8, 12):
            sized = Model.from_dict({**model.to_dict(), "sampling_steps": steps})
            note(summary(f"{name}{steps}", times(acting(sized), options.calls)))
        note(summary(f"{name}8_whole_matrices", times(acting(model, rearranged=False), few)))
    note(summary("small8_in_class", times(acting_in_class(SMALL), options.calls)))
    note({"paper8_reading_weights_ms": round(reading_time(PAPER, few), 3)})
    batched = float(np.median(times(acting_in_batch(SMALL, BATCH), few)))
    per_second = BATCH / batched * 1e3
    note({"batch256_ms": round(batched, 2), "batch256_samples_per_second": round(per_second)})
    note({"batch256_speedup": round(per_second * result["small8_p50_ms"] / 1e3, 2)})
    note(torch_figures(few, options.skip_torch))
    wall, own, all_of_us = (now - then for now, then in zip(cpu_seconds(), begin, strict=True))
    note({"others_busy": round((all_of_us - own) / wall, 2)})
    print(json.dumps(result))


def cpu_seconds() -> tuple[float, float, float]:
    """Seconds of wall clock, of this process on any core, and of all processes (Linux)."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split()[1:9])
    return time.perf_counter(), time.process_time(), (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def torch_figures(calls: int, skip: bool) -> dict[str, object]:
    """The same ticks in PyTorch, in turn with JAX; the best one with weights of 32 bits is what ours is compared to."""
    if skip or importlib.util.find_spec("torch") is None:
        return {"torch_paper8_p50_ms": None, "speedup_over_torch": None, "torch_note": "skipped or not installed"}
    import sampler_torch

    found = {}
    for name, model in {"paper8": PAPER, "small8": SMALL}.items():
        programs = {"ours": acting(model), **sampler_torch.acting(model, untrained(model))}
        rounds = [
            {kind: np.median(times(call, max(calls // 5, 5))) for kind, call in programs.items()} for _ in range(5)
        ]
        p50 = {kind: float(np.median([each[kind] for each in rounds])) for kind in programs}
        best = min(p50["eager"], p50["compiled"])
        speedups = {"over_torch": best / p50["ours"], "over_half_torch": p50["half"] / p50["ours"]}
        prefix = "" if model is PAPER else f"{name}_"
        found |= {f"torch_{name}_p50_ms": best} | {f"torch_{name}_{kind}_p50_ms": p50[kind] for kind in p50}
        found |= {f"{prefix}speedup_{kind}": value for kind, value in speedups.items()}
    return {key: round(value, 3) for key, value in found.items()}


if __name__ == "__main__":
    main()
