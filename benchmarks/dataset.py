"""What recordings cost: collecting them beside only playing, their bytes, reading windows from memory and from disk.

Time: about 6 minutes on 2 CPU cores, most of it for playing 12 blocks; `--most=1e6` takes a tenth of the writing.
Expected on 2 cores: collect_over_bare >= 0.8, at most 70 bytes raw and 45 stored for the columns that any hand has,
100,000 windows/s resident and 0.7 of that streamed, flat_cost_ratio < 1.2, memory_beyond_budget_gb < 1.
Command: python benchmarks/dataset.py [--most=1e7]

`collect_over_bare` is the same rollout of the shipped expert with and without its rows being brought to the host,
written and committed, block by block in turn. `flat_cost_ratio` is the time for a transition to be written and listed
in the last tenth of `--most` transitions, over that in the first 1e5. `memory_beyond_budget_gb` is the peak memory of a
process that trains on that dataset with half of its size as budget, less the budget. The last line is one JSON object.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import launch
from collect_dataset import recorder
from configs import collect_dataset as settings
from expert_files import load_task
from peak_memory import peak_gb

from dexgen_jax.controller import parallel, training
from dexgen_jax.controller.model import MODES, Model
from dexgen_jax.dataset import collect, store, stream, summary

STEPS = 5  # in a round of reading
RECIPE = training.TrainingConfig(steps=1, batch=4096, learning_rate=1e-3, warmup=0, weight_decay=0.0, ema=0.9,
                         reading_noise=0.025, reading_offset=0.005)  # fmt: skip


def collecting(folder: Path, blocks: int) -> tuple[dict[str, float], store.Dataset]:
    """Plays blocks of the shipped expert with and without storing them; the figures, and what was stored."""
    config = settings.get_config("laptop")
    config.update({"grasps": "shipped", "expert": "shipped", "objects": "starter", "run_dir": str(folder)})
    env, act, _ = load_task("anygrasp", config)
    layout = store.Layout(blocks, config.layout.streams, config.layout.rows)
    play = recorder(env, act, collect.BehaviourConfig(), layout, mode=0, first_object=0)
    writer = store.create(folder / "played", env.hand, layout, {"control_hz": 10.0})
    jax.block_until_ready(play(jax.random.PRNGKey(0)))  # compiles
    bare, whole = [], []
    for block in writer.claim():
        key = jax.random.PRNGKey(block)
        begun = time.perf_counter()
        jax.block_until_ready(play(key))
        bare.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        writer.write(block, collect.to_columns(play(key)))
        whole.append(time.perf_counter() - begun)
        print(f"block {block}: {bare[-1]:.2f} s bare, {whole[-1]:.2f} s stored", flush=True)
    dataset = store.open_dataset(folder / "played", env.hand)
    found = summary.describe(dataset, 2.0, MODES)
    raw = sum(
        np.dtype(column.dtype).itemsize * int(np.prod(column.shape))
        for name, column in dataset.columns.items()
        if not name.startswith("privileged/")
    )
    return {
        "collect_over_bare": float(np.median(np.asarray(bare) / np.asarray(whole))),
        "transitions_per_second": layout.streams * layout.rows / float(np.median(whole)),
        "bytes_per_transition_raw": raw,
        "bytes_per_transition_stored": found["bytes_per_transition_without_privileged"],
        "bytes_per_transition_with_privileged": found["bytes_per_transition"],
    }, dataset


def reading(dataset: store.Dataset, rounds: int) -> dict[str, float]:
    """Windows a second drawn from what lies on the device, and from what streams through half of its memory."""
    model, here = Model(), jax.sharding.SingleDeviceSharding(jax.devices()[0])
    cut, per_round = stream.Cut(model.history, model.horizon, 20), STEPS * RECIPE.batch
    pieces = stream.deal(dataset, dataset.blocks, [], 4)
    draw = jax.jit(lambda shards, key: training.draw_shards(model, RECIPE, shards, key, 0, 4))
    resident = stream.Feed(dataset, pieces, cut, here, 1e12, per_round)
    bytes_of_all = sum(leaf.nbytes for leaf in jax.tree.leaves(resident.at(0)))
    streamed = stream.Feed(dataset, pieces, cut, here, 0.6 * bytes_of_all, per_round)
    seconds = {"resident": [], "streamed": []}
    for number in range(rounds + 1):
        for name, feed in (("resident", resident), ("streamed", streamed)):
            begun = time.perf_counter()
            shards = feed.at(number)
            for step in range(STEPS):
                jax.block_until_ready(draw(shards, jax.random.PRNGKey(step)))
            seconds[name].append(time.perf_counter() - begun)
    taken = {name: np.asarray(times[1:]) for name, times in seconds.items()}  # the first compiles, and fills
    return {
        "windows_per_second_resident": per_round / float(np.median(taken["resident"])),
        "windows_per_second_streamed": per_round / float(np.median(taken["streamed"])),
        "streamed_over_resident": float(np.median(taken["resident"] / taken["streamed"])),
        "streamed": not streamed.resident,
        "read_anew_in_a_round": streamed.turnover / streamed.capacity,
    }


def writing(folder: Path, dataset: store.Dataset, most: int) -> dict[str, float]:
    """The cost of a transition while a dataset grows to `most`: the blocks of a real one, again and again."""
    size = dataset.layout.streams * dataset.layout.rows
    blocks = max(most // size, 4)
    layout = store.Layout(blocks, dataset.layout.streams, dataset.layout.rows)
    columns = dataset.read(None, slice(0, dataset.layout.streams))
    writer = store.create(folder / "long", Model().hand, layout, {})
    seconds = []
    for block in writer.claim():
        begun = time.perf_counter()
        writer.write(block, columns)
        seconds.append(time.perf_counter() - begun)
    first, last = (np.asarray(part) for part in (seconds[: max(100_000 // size, 2)], seconds[-max(blocks // 10, 2) :]))
    begun = time.perf_counter()
    store.open_dataset(folder / "long")
    opening = time.perf_counter() - begun
    return {
        "flat_cost_ratio": float(np.median(last) / np.median(first)),
        "transitions_written": blocks * size,
        "seconds_to_open": opening,
    }


def memory(folder: Path) -> dict[str, float]:
    """Peak memory beyond the budget of a training that streams the long dataset, in a process of its own."""
    dataset = store.open_dataset(folder / "long")
    budget = dataset.num_streams * dataset.num_rows * 77 / 2 / 1e9  # GB; 65 bytes of columns, 12 of lists of windows
    command = [sys.executable, __file__, f"--memory_of={folder / 'long'}", f"--budget={budget}"]
    peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return {"memory_budget_gb": budget, "memory_beyond_budget_gb": peak - budget}


def peak_of_training(folder: str, budget: float) -> float:
    """Peak memory [GB] of this process after some rounds of training within a budget [GB]."""
    model = Model(width=256, depth=1, encoder_width=256, encoder_layers=2, inverse_width=192, inverse_blocks=3)
    recipe = training.TrainingConfig(**{**vars(RECIPE), "steps": 100, "batch": 256, "warmup": 1})
    dataset = store.open_dataset(folder)
    loop = parallel.on(jax.devices()[:1], model, recipe, shards=4)
    cut = stream.Cut(model.history, model.horizon, 20)
    pieces = stream.deal(dataset, dataset.blocks, [], 4)
    feed = stream.Feed(dataset, pieces, cut, loop.shards, 1e9 * budget, 10 * recipe.batch)
    key = jax.random.PRNGKey(0)
    statistics, state = loop.fit(feed.at(0), key, 1024), loop.create(key)
    for number in range(6):
        state, _ = jax.block_until_ready(loop.learn(state, feed.at(number), statistics, key, 10))
    assert not feed.resident
    return peak_gb()


def main() -> None:
    """Reads the command line, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=12, help="of 40,960 transitions, to be played")
    parser.add_argument("--rounds", type=int, default=8, help="of reading")
    parser.add_argument("--most", type=float, default=1e7, help="transitions, of the long dataset")
    parser.add_argument("--memory_of", help="a dataset: prints the peak memory of a training on it, and nothing else")
    parser.add_argument("--budget", type=float, default=1.0, help="GB, of that training")
    args = parser.parse_args()
    if args.memory_of:
        launch.share_freed_memory()  # as train_controller.py does
        launch.prepare_jax()
        print(peak_of_training(args.memory_of, args.budget))
        return
    launch.prepare_jax()
    folder = Path(tempfile.mkdtemp())
    try:
        found, dataset = collecting(folder, args.blocks)
        found |= reading(dataset, args.rounds)
        found |= writing(folder, dataset, int(args.most))
        found |= memory(folder)
    finally:
        shutil.rmtree(folder)
    print(json.dumps({name: value if isinstance(value, bool) else round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
