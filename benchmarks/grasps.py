"""How fast grasps are found over the whole catalogue, where candidates are lost, and what search adds to sampling.

Time: about 6 minutes on 2 free CPU cores, of which compiling takes one. Expected there: about 60 grasps a
second, a third to a half of the candidates, and rrt_coverage_over_sampling above 1.
Command: python benchmarks/grasps.py [--objects=train] [--batches=3] [--covered=cube_55,l_80_60_28] [--engine=native]

Speed is accepted grasps a second of wall-clock, compiling left out: nothing else may run on the machine. Where
something does, `accepted_per_core_second` says what a core finds while it works. Every accepted grasp has been closed,
shaken with the worst friction and held under gravity from six sides. Coverage is how many cells of object position and
rotation an equal number of grasps reaches: grown with search, over drawn without.
The last line is one JSON object.
"""

import argparse
import collections
import json
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dexgen_jax.grasps import coverage, growth, overlap, symmetry
from dexgen_jax.grasps.library import ObjectGrasps
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines

Batch = Callable[[int, int, ObjectGrasps], growth.Grown]  # batch number, object, what search may know


def batches_of(names: tuple[str, ...], args: argparse.Namespace) -> Batch:
    """One compiled program that grows a batch of any of the objects."""
    objects = [catalog.load(name) for name in names]
    engine = engines.make(allegro.load(), objects, args.engine, args.threads)
    subjects, settings = growth.subjects(objects), growth.GrowthConfig()

    @jax.jit
    def attempt(key: jax.Array, index: jax.Array, known: growth.Known) -> growth.Grown:
        return growth.attempt(key, engine, index, jax.tree.map(lambda x: x[index], subjects), known, settings)

    def batch(number: int, index: int, grasps: ObjectGrasps) -> growth.Grown:
        key = jax.random.fold_in(jax.random.PRNGKey(index), number)
        return jax.device_get(attempt(key, jnp.asarray(index), growth.known(grasps)))

    return batch


def speed(names: tuple[str, ...], batch: Batch, batches: int) -> dict:
    """Grows `batches` of each object; rates and losses, over all and by family."""
    hand = allegro.load()
    batch(0, 0, growth.begin(hand, names[0], {}))  # compiles
    counts = collections.Counter()
    of_family = collections.defaultdict(lambda: np.zeros(4))  # accepted, tried, seconds, seconds of all cores
    precise = []
    for index, name in enumerate(names):
        grasps, start, start_cores = growth.begin(hand, name, {}), time.perf_counter(), time.process_time()
        for number in range(batches):
            grasps = growth.add(grasps, batch(number, index, grasps))
        seconds, cores = time.perf_counter() - start, time.process_time() - start_cores
        tried = sum(of["tried"] for of in grasps.provenance["counts"].values())
        of_family[catalog.family(name)] += [len(grasps), tried, seconds, cores]
        counts.update({(m, s): n for m, of in grasps.provenance["counts"].items() for s, n in of.items()})
        precise.append(~(grasps.touches & ~overlap.is_tip(hand)).any(1))
        print(f"{name:24} {len(grasps) / seconds:6.1f}/s  {len(grasps) / tried:.2f} of those tried", flush=True)
    accepted, tried, seconds, cores = sum(of_family.values())
    stages = collections.defaultdict(dict)
    for (maker, stage), number in counts.items():
        stages[maker][stage] = round(number / counts[maker, "proposed"], 3)
    return {
        "accepted_per_second": accepted / seconds,
        "accepted_per_core_second": accepted / cores,
        "yield": accepted / tried,
        "precision_share": float(np.concatenate(precise).mean()),
        "stages": stages,
        "share_by_maker": {maker: counts[maker, "held"] / accepted for maker in growth.MAKERS},
        "yield_by_family": {family: row[0] / row[1] for family, row in of_family.items()},
        "accepted_per_second_by_family": {family: row[0] / row[2] for family, row in of_family.items()},
    }


def covered(names: tuple[str, ...], batch: Batch, count: int) -> dict:
    """Cells that `count` grasps of each object reach when they are grown with search, and when they are only drawn."""
    hand = allegro.load()
    cells = {}
    for index, name in enumerate(names):
        group, reached = symmetry.group(catalog.load(name)), []
        for search in (True, False):
            grasps, number, nothing = growth.begin(hand, name, {}), 0, growth.begin(hand, name, {})
            while len(grasps) < count:
                grasps = growth.add(grasps, batch(number, index, grasps if search else nothing))
                number += 1
            reached.append(coverage.count(grasps.object_pose[:count], group))
        cells[name] = reached
        print(f"{name:24} {reached[0]} cells with search, {reached[1]} without", flush=True)
    ratios = [with_search / without for with_search, without in cells.values()]
    return {"rrt_coverage_over_sampling": float(np.mean(ratios)), "cells": cells}


def main() -> None:
    """Reads the command line, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", default="train", help="a set of the catalogue or names with commas")
    parser.add_argument("--batches", type=int, default=3, help="of each object; search has nothing to do in the first")
    parser.add_argument("--covered", default="cube_55,cylinder_40_90,l_80_60_28", help="objects whose coverage counts")
    parser.add_argument("--count", type=int, default=1000, help="grasps whose coverage is compared")
    parser.add_argument("--engine", default="auto", choices=engines.BACKENDS)
    parser.add_argument("--threads", type=int, default=0, help="of the native engine; 0 is all cores")
    args = parser.parse_args()
    names = tuple(dict.fromkeys((*catalog.names(args.covered), *catalog.names(args.objects))))
    batch = batches_of(names, args)  # the covered objects come first
    result = covered(catalog.names(args.covered), batch, args.count) | speed(names, batch, args.batches)
    print(json.dumps(_rounded(result)))


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(float(value), 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
