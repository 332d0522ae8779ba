"""Grows the grasp library: random cupped hands close on each object, and physics keeps what holds.

Reproduces: the grasp sets of DexterityGen (arXiv:2502.04307, appendix A), each grasp validated in simulation.
Time: about 80 accepted grasps a second on 2 cores (`:laptop`, 8 objects x 750 grasps: 80 seconds).
Expected: between a third and a half of the candidates are accepted.
Command: python experiments/grow_grasps.py --config=experiments/configs/grow_grasps.py:laptop --config.run_dir=runs/demo
"""

from pathlib import Path

import jax
import launch
import numpy as np
from ml_collections import ConfigDict

import dexgen_jax
from dexgen_jax.envs.registry import override
from dexgen_jax.grasps import library, sample, settle
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Grows every object's file to `grasps_per_object`; a file already begun is continued."""
    hand, names = allegro.load(), catalog.names(config.objects)
    folder = Path(config.run_dir) / "grasps"
    engine = engines.make(hand, [catalog.load(name) for name in names], config.engine, config.threads)
    settle_config = override(settle.SettleConfig(), config.settle.to_dict())

    @jax.jit
    def attempt(key: jax.Array, index: jax.Array) -> settle.Settled:
        key_sample, key_settle = jax.random.split(key)
        candidates = jax.vmap(sample.cupped, (0, None))(jax.random.split(key_sample, config.batch), hand)
        one = lambda key, candidate: settle.settle(  # noqa: E731
            key, engine, worlds.nominal(engine.object(index)), candidate, settle_config
        )
        return jax.vmap(one)(jax.random.split(key_settle, config.batch), candidates)

    totals = {"grasps": 0, "candidates": 0}
    with log.progress("growing grasps", len(names) * config.grasps_per_object, "grasps") as bar:
        for index, name in enumerate(names):
            grasps = _begin(folder, name, hand.name, config)
            bar.advance(min(len(grasps), config.grasps_per_object))  # grown before a restart
            key = jax.random.fold_in(jax.random.PRNGKey(config.seed), index)
            while len(grasps) < config.grasps_per_object:
                batch = grasps.made["batches"]
                if batch >= config.max_batches:
                    raise ValueError(
                        f"{name}: only {len(grasps)} of {config.grasps_per_object} grasps held after {batch} batches "
                        f"of {config.batch} candidates; raise max_batches or choose an object this hand can hold"
                    )
                found = jax.device_get(attempt(jax.random.fold_in(key, batch), index))
                missing = config.grasps_per_object - len(grasps)
                grasps = _extend(grasps, found, config)
                library.save(folder, grasps)
                bar.advance(min(missing, int(found.accepted.sum())), object=name)
                log.write(batch, {f"accepted_share/{name}": float(found.accepted.mean())})
            totals["grasps"] += len(grasps)
            totals["candidates"] += grasps.made["batches"] * config.batch
    return totals | {"objects": len(names), "accepted_share": totals["grasps"] / max(totals["candidates"], 1)}


def _begin(folder: Path, name: str, hand_name: str, config: ConfigDict) -> library.ObjectGrasps:
    if (folder / f"{name}.npz").exists():
        return library.load(folder, name, hand_name)
    joints = allegro.load().num_joints
    made = {"seed": config.seed, "batches": 0, "batch": config.batch, "dexgen_jax": dexgen_jax.__version__}
    return library.ObjectGrasps(hand_name, name, np.zeros((0, joints)), np.zeros((0, joints)), np.zeros((0, 7)), made)


def _extend(grasps: library.ObjectGrasps, found: settle.Settled, config: ConfigDict) -> library.ObjectGrasps:
    keep = np.flatnonzero(found.accepted)
    return library.ObjectGrasps(
        grasps.hand_name, grasps.object_name,
        np.concatenate([grasps.q, found.q[keep]]), np.concatenate([grasps.target, found.target[keep]]),
        np.concatenate([grasps.object_pose, found.object_pose[keep]]),
        grasps.made | {"batches": grasps.made["batches"] + 1},
    )  # fmt: skip


if __name__ == "__main__":
    launch.main(run)
