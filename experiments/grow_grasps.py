"""Grows the grasp library: candidates from three makers are closed in physics, and what holds is kept.

Reproduces: the grasp sets of DexterityGen (arXiv:2502.04307, appendix B), each grasp validated in simulation.
Time: about 35 grasps a second for each free core, after a minute of compiling.
Expected: a third to a half of the candidates hold; <run_dir>/grasps/grasps.html shows them.
Command: python experiments/grow_grasps.py --config=experiments/configs/grow_grasps.py:laptop --config.run_dir=runs/demo
The command may run several times at once, on several hosts of one file system: each process takes objects of its own.
"""

import functools
import zlib
from pathlib import Path

import artefacts
import grasp_report
import jax
import launch
import run_lock
from ml_collections import ConfigDict

from dexgen_jax.defaults import override
from dexgen_jax.grasps import growth, library
from dexgen_jax.grasps.library import ObjectGrasps
from dexgen_jax.objects import catalog, shapes
from dexgen_jax.physics import engine as engines
from dexgen_jax.run_log import RunLog, atomic_write

FIRST_BATCHES = 10  # before an object is judged: search needs some grasps to start from


def run(config: ConfigDict, log: RunLog) -> dict:
    """Grows every object's file to `grasps_per_object`; a file already begun is continued."""
    hand, names = artefacts.hand(config), catalog.names(config.objects)
    folder, size = Path(config.run_dir) / "grasps", config.grasps_per_object
    # First, so that a file of another hand, or a damaged one, is refused before an engine is built.
    begun = lambda name: (folder / f"{name}.npz").exists()
    for name in filter(begun, names):
        library.load(folder, name, hand.name)
    objects = [catalog.load(name) for name in names]
    engine = engines.make(hand, objects, config.engine, config.threads)
    settings = override(growth.GrowthConfig(), config.growth.to_dict())
    subjects = growth.subjects(shapes.as_held(objects, hand.name))

    @functools.partial(jax.jit, compiler_options=engine.compiler_options)
    def attempt(key: jax.Array, index: jax.Array, known: growth.Known) -> growth.Grown:
        return growth.attempt(key, engine, index, jax.tree.map(lambda x: x[index], subjects), known, settings)

    versions = {name: version for name, version in launch.versions().items() if name in launch.PACKAGES}
    grown = {}
    with log.progress("growing grasps", len(names) * size, "grasps") as bar:
        for name in run_lock.take_turns(folder, names):
            index, provenance = names.index(name), {"seed": config.seed, "engine": engine.name, "versions": versions}
            grasps = library.load(folder, name, hand.name) if begun(name) else growth.begin(hand, name, provenance)
            bar.advance(min(len(grasps), size))  # grown before a restart
            # From its name: an object grows the same whatever it is grown together with.
            key = jax.random.fold_in(jax.random.PRNGKey(config.seed), zlib.crc32(name.encode()))
            while len(grasps) < size:
                batch, before = grasps.provenance["batches"], len(grasps)
                refuse_hopeless(grasps, settings, config.min_share)
                found = jax.device_get(attempt(jax.random.fold_in(key, batch), index, growth.known(grasps)))
                grasps = growth.add(grasps, found)
                library.save(folder, grasps)
                bar.advance(min(len(grasps), size) - before, object=name)
                log.write(batch, {f"accepted/{name}": len(grasps) - before})
            grown[name] = grasps
    grown = {name: grown[name] for name in names}
    figures = {name: grasp_report.figures(hand, grasps) for name, grasps in grown.items()}
    atomic_write(folder / "grasps.html", grasp_report.page(engine, list(grown.values()), figures, config.pictures))
    return grasp_report.summary(figures) | {"of_object": figures}


def refuse_hopeless(grasps: ObjectGrasps, settings: growth.GrowthConfig, min_share: float) -> None:
    """Raises ValueError if after some batches less than `min_share` of the candidates have held."""
    batches = grasps.provenance["batches"]
    if batches >= FIRST_BATCHES and len(grasps) < min_share * batches * settings.tried:
        raise ValueError(
            f"{grasps.object_name}: only {len(grasps)} grasps held after {batches} batches, less than {min_share:g} of "
            f"the candidates; {growth.describe(grasps.provenance['counts'])}; choose an object this hand can hold, or "
            "lower min_share to go on"
        )


if __name__ == "__main__":
    launch.main(run)
