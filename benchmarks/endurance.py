"""Does the controller stay the same for ever? Many `Controller.act` calls: memory, compilations, numbers, times.

Time: 1.6 ms a call at the median, most where inverse kinematics is needed (2 CPU cores): a million in half an hour.
Expected: memory_growth_mb < 1 after the first tenth, compilations 0, not_finite 0, held only where the reading was bad.
Command: python benchmarks/endurance.py [--calls=1000000] [--controller=FOLDER]

Every kind of command, strength and mode in turn, and now and then a reading or a command that is not a number, so that
every way through the tick is walked. The hand follows its targets. The last line is one JSON object.
"""

import argparse
import json
import os
import time
from pathlib import Path

import jax
import numpy as np

from dexgen_jax.controller import commands, safety
from dexgen_jax.controller.controller import Controller
from dexgen_jax.hand import kinematics

BROKEN_EVERY = 97  # calls; no multiple of the other cycles, so that everything meets everything
STRENGTHS = (0.0, 0.03, 0.1, 1.0, float("inf"))


def resident_mb() -> float:
    """Memory of this process in MB; Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def wishes(controller: Controller) -> dict[str, np.ndarray]:
    """One command of each kind, a little away from the hand's first posture."""
    hand = controller.model.hand
    q = np.asarray(hand.prior.joint_mean, np.float32)
    now, then = (np.asarray(kinematics.keypoints(hand, posture)) for posture in (q, q + np.float32(0.1)))
    offsets, tips = then - now, slice(hand.num_tips)
    all_kinds = (q + np.float32(0.1), offsets, offsets[tips], then[tips])
    return dict(zip(commands.KINDS, all_kinds, strict=True))


def run(controller: Controller, calls: int) -> dict[str, float]:
    """Calls `act` and counts what should not happen."""
    hand, asked = controller.model.hand, list(wishes(controller).items())
    q = target = np.asarray(hand.prior.joint_mean, np.float32)
    controller.reset(q)
    # Filled, or the pages of this array would be counted as they are written: 4 bytes a call.
    compiled, taken, memory = [], np.full(calls, np.nan, np.float32), []
    watch = lambda name, *_, **__: compiled.append(name) if "compile" in name else None
    jax.monitoring.register_event_duration_secs_listener(watch)
    count = dict.fromkeys(("not_finite", "outside", "held", "held_wrongly"), 0)
    for i in range(calls):
        kind, command = asked[i % len(asked)]
        bad = i % BROKEN_EVERY == 0
        read = q * np.nan if bad else q
        command = command * np.nan if i % BROKEN_EVERY == 1 else command
        mode, strength = controller.model.modes[i % len(controller.model.modes)], STRENGTHS[i % len(STRENGTHS)]
        start = time.perf_counter()
        action, seen = controller.act(read, target, command, kind, mode=mode, strength=strength)
        taken[i] = 1e3 * (time.perf_counter() - start)
        held = bool(int(seen.events) & safety.Event.HELD)
        count["held"] += held
        count["held_wrongly"] += held != bad
        count["not_finite"] += not np.isfinite(action).all().item()
        count["outside"] += bool((action < hand.lower - 1e-6).any() or (action > hand.upper + 1e-6).any())
        q, target = q + np.float32(0.6) * (action - q), action
        if i % max(calls // 20, 1) == 0:
            memory.append(resident_mb())
            latest = taken[max(0, i - 1000) : i + 1]  # few: a median copies what it reads
            print(f"call {i}: {memory[-1]:.1f} MB, {np.median(latest):.3f} ms", flush=True)
    jax.monitoring.unregister_event_duration_listener(watch)
    memory.append(resident_mb())
    percentiles = dict(zip(("p50_ms", "p99_ms", "worst_ms"), np.percentile(taken, (50, 99, 100)), strict=True))
    settled = memory[len(memory) // 10]
    found = count | {"compilations": len(compiled), "memory_mb": memory[-1], "memory_growth_mb": memory[-1] - settled}
    figures = {"calls": calls} | found | percentiles
    return {name: value if isinstance(value, int) else round(float(value), 3) for name, value in figures.items()}


def main() -> None:
    """Runs and prints one JSON object at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--controller", default="shipped", help="a folder of a trained controller, or the shipped one")
    options = parser.parse_args()
    print(json.dumps(run(Controller.from_pretrained(options.controller), options.calls)))


if __name__ == "__main__":
    main()
