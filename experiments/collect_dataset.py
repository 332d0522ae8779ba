"""Records experts at work, slowed down, sped up and disturbed, as the dataset that the controller learns from.

Reproduces: the data of DexterityGen (arXiv:2502.04307, section III-B, appendix A): rollouts of experts of several
styles with domain randomisation. Drops are kept; the reader leaves out the 2 seconds before them.
Time: about 4,000 rows a second on 2 cores (`:laptop`, 250,000 rows, 7 hours of manipulation: 1 minute).
Expected: a drop every 10 to 50 s with the disturbances; 57 bytes a row on disk, and 60 for what only a simulator knows.
Command: python experiments/collect_dataset.py --config=experiments/configs/collect_dataset.py:laptop
With --config.tasks="('anygrasp','fine_rotation','free_motion')" all are recorded, each row with the mode of its task.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import launch
import numpy as np
from expert_files import load_task
from ml_collections import ConfigDict

import dexgen_jax
from dexgen_jax.controller.model import MODES
from dexgen_jax.dataset import collect, store, windows
from dexgen_jax.envs import registry
from dexgen_jax.objects import catalog
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.run_log import RunLog

EVENTS = {"drops": store.DROP, "goals": store.SUCCESS, "invalid": store.INVALID}


def run(config: ConfigDict, log: RunLog) -> dict:
    """Writes the blocks that are still missing; block i depends on the seed, the tasks and i alone."""
    behaviour = collect.Behaviour(**config.behaviour.to_dict())
    layout = store.Layout(**config.layout.to_dict())
    records, envs = [], {}
    objects: list[str] = []
    for task in config.tasks:
        env, act, stage = load_task(task, config)
        records.append(recorder(env, act, behaviour, layout, MODES.index(registry.MODES[task]), len(objects)))
        objects += catalog.names(stage.objects)  # each task's own, one after the other
        envs[task] = stage.env.to_dict()
    made = {
        "control_hz": CONTROL_HZ, "objects": objects, "dexgen_jax": dexgen_jax.__version__,
        "made": {"seed": config.seed, "behaviour": config.behaviour.to_dict(), "env": envs},
    }  # fmt: skip
    folder = Path(config.run_dir) / "dataset"
    writer = store.create(folder, env.hand, layout, made)

    missing, block_rows = writer.missing(), layout.streams * layout.rows
    done = layout.blocks - len(missing)
    with log.progress("recording", layout.blocks * block_rows, "rows", done * block_rows) as bar:
        for block in missing:
            record = records[block % len(records)]
            columns = collect.to_columns(record(jax.random.fold_in(jax.random.PRNGKey(config.seed), block)))
            writer.write(block, columns)
            counts = {name: int((columns["flags"] & bit > 0).sum()) for name, bit in EVENTS.items()}
            seconds = block_rows / CONTROL_HZ
            log.write(block, {f"{name}_per_minute": 60 * count / seconds for name, count in counts.items()})
            bar.advance(block_rows, **counts)
    return describe(store.open_dataset(folder, env.hand), config.drop_seconds)


def recorder(
    env: registry.Env, act: Callable, behaviour: collect.Behaviour, layout: store.Layout, mode: int, first_object: int
) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """Key -> one block of a task, whose objects have numbers from `first_object` on."""

    @jax.jit
    def record(key: jax.Array) -> dict[str, jax.Array]:
        policy = lambda obs, key: act(obs)
        rows = collect.record(env, policy, behaviour, key, layout.streams, layout.rows, mode)
        return rows | {"privileged/object_index": rows["privileged/object_index"] + first_object}

    return record


def describe(dataset: store.Dataset, drop_seconds: float) -> dict:
    """What the dataset holds; `kept` is the share of rows outside the last `drop_seconds` [s] before a drop."""
    totals, modes = dict.fromkeys((*EVENTS, "disturbed", "kept"), 0), np.zeros(len(MODES), int)
    for start in range(0, dataset.num_streams, dataset.layout.streams):  # by blocks: a large dataset fills the memory
        block = dataset.read(["flags", "mode"], slice(start, start + dataset.layout.streams))
        flags, modes = block["flags"], modes + np.bincount(block["mode"].ravel(), minlength=len(MODES))
        for name, bit in {**EVENTS, "disturbed": store.PERTURBED}.items():
            totals[name] += int(np.count_nonzero(flags & bit))
        totals["kept"] += len(windows.valid_index(flags, 1, 1, round(drop_seconds * CONTROL_HZ)))
    rows = dataset.num_streams * dataset.num_rows
    size = sum(path.stat().st_size for path in Path(dataset.folder).rglob("c/**/*") if path.is_file())
    return {
        "transitions": rows, "hours": rows / CONTROL_HZ / 3600, **totals,
        "modes": {name: int(count) for name, count in zip(MODES, modes, strict=True) if count},
        "kept": totals["kept"] / rows, "disturbed": totals["disturbed"] / rows,
        "seconds_per_drop": rows / CONTROL_HZ / max(totals["drops"], 1), "bytes_per_transition": size / rows,
    }  # fmt: skip


if __name__ == "__main__":
    launch.main(run)
