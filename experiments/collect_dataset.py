"""Records experts at work, slowed down, sped up and disturbed, as the dataset that the controller learns from.

Reproduces: the data of DexterityGen (arXiv:2502.04307, section III-B, appendix A): rollouts of experts of several
styles with domain randomisation. Drops are kept; the reader leaves out the 2 seconds before them.
Time: about 3,750 rows a second on 2 cores (`:laptop`, 327,680 rows, 9.1 hours of manipulation: 1.3 minutes).
Expected: a drop every 10 to 50 s with the disturbances; 44 bytes a row on disk, and 47 for what only a simulator knows.
Command: python experiments/collect_dataset.py --config=experiments/configs/collect_dataset.py:laptop
The command may run several times at once, on several hosts of one file system: each process takes blocks of its own.
With --config.tasks="('anygrasp','fine_rotation','free_motion')" all are recorded, each row with the mode of its task.
"""

import functools
from collections.abc import Callable

import dataset_files
import jax
import launch
from expert_files import load_task
from ml_collections import ConfigDict

import dexgen_jax
from dexgen_jax.controller.model import MODES
from dexgen_jax.dataset import collect, places, store, summary
from dexgen_jax.envs import registry
from dexgen_jax.objects import catalog
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.run_log import RunLog

SHOWN = {name: summary.EVENTS[name] for name in ("drops", "goals", "invalid")}


def run(config: ConfigDict, log: RunLog) -> dict:
    """Writes the blocks that are still missing; block i depends on the seed, the tasks and i alone."""
    behaviour = collect.BehaviourConfig(**config.behaviour.to_dict())
    layout = store.Layout(**config.layout.to_dict())
    records, envs = [], {}
    objects: list[str] = []
    for task in config.tasks:
        env, act, stage = load_task(task, config)
        if (label := registry.MODES[task]) not in MODES:
            raise ValueError(
                f"the task {task!r} is recorded as {label!r}, and controllers know {', '.join(MODES)}: add it"
            )
        records.append(recorder(env, act, behaviour, layout, MODES.index(label), len(objects)))
        objects += catalog.names(stage.objects)  # each task's own, one after the other
        envs[task] = stage.env.to_dict()
    attributes = {
        "control_hz": CONTROL_HZ,
        "objects": objects,
        "dexgen_jax": dexgen_jax.__version__,
        "provenance": {"seed": config.seed, "behaviour": config.behaviour.to_dict(), "env": envs},
    }
    place = places.at(dataset_files.where(config))
    writer = store.create(place, env.hand, layout, attributes)
    blocks = writer.claim(*part(config))
    missing, block_rows = writer.missing(), layout.streams * layout.rows
    done = layout.blocks - len(missing)
    with log.progress("recording", layout.blocks * block_rows, "rows", done * block_rows) as bar:
        for block in blocks:
            record = records[block % len(records)]
            columns = collect.to_columns(record(jax.random.fold_in(jax.random.PRNGKey(config.seed), block)))
            writer.write(block, columns)
            counts = {name: int((columns["flags"] & bit > 0).sum()) for name, bit in SHOWN.items()}
            seconds = block_rows / CONTROL_HZ
            log.write(block, {f"{name}_per_minute": 60 * count / seconds for name, count in counts.items()})
            bar.advance(block_rows, **counts)
    if not log.writes:  # another process of this job says what came of it
        return {}
    if missing := writer.missing():  # in a bucket, where nobody waits for the others
        return {"unfinished": f"{len(missing)} blocks of other writers"}
    return dataset_files.describe(store.open_dataset(place, env.hand), env.hand, config.drop_seconds, log.folder)


def part(config: ConfigDict) -> tuple[int, int]:
    """Which of how many writers this process is: one of a job's, or what the settings say."""
    return (jax.process_index(), jax.process_count()) if jax.process_count() > 1 else (config.writer, config.writers)


def recorder(
    env: registry.Env,
    act: Callable,
    behaviour: collect.BehaviourConfig,
    layout: store.Layout,
    mode: int,
    first_object: int,
) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """Key -> one block of a task, whose objects have numbers from `first_object` on."""

    @functools.partial(jax.jit, compiler_options=env.engine.compiler_options)
    def record(key: jax.Array) -> dict[str, jax.Array]:
        policy = lambda obs, key: act(obs)
        rows = collect.record(env, policy, behaviour, key, layout.streams, layout.rows, mode)
        return rows | {"privileged/object_index": rows["privileged/object_index"] + first_object}

    return record


if __name__ == "__main__":
    launch.main(run, several=True)
