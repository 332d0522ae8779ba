"""Run with eight host devices by test_parallel.py: the same batches learned by some numbers of them (arguments), by all
of them, and under pmap; a training that goes on from disk on other devices. Prints how far the parameters are apart."""

import functools
import json
import sys
import tempfile

import fake_streams
import jax
import numpy as np

from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.controller import parallel, training
from dexgen_jax.controller.model import Model
from dexgen_jax.dataset import store, stream
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.hand import allegro

# A width of 8 would leave one number in each group that is normalised: always zero, whatever the windows.
MODEL = Model(
    width=64, depth=1, encoder_width=8, encoder_layers=1, inverse_width=8, inverse_blocks=1, diffusion_steps=20
)
RECIPE = training.TrainingConfig(
    steps=60, batch=32, learning_rate=1e-3, warmup=5, weight_decay=1e-4, ema=0.9, reading_noise=0.02,
    reading_offset=0.005,
)  # fmt: skip
SHARDS, STEPS, KEY = 8, 20, jax.random.PRNGKey(0)


def largest_difference(tree, other):
    apart = jax.tree.map(lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()), tree, other)
    return max(jax.tree.leaves(apart))


def main(few: int, *others: int):
    """`few` devices go on with what eight began."""
    counts = sorted({1, few, *others, 8})
    with tempfile.TemporaryDirectory() as folder:
        writer = store.create(folder, allegro.load(), store.Layout(1, 16, 40), {})
        writer.write(0, fake_streams.columns(16, 40))
        dataset = store.open_dataset(folder)
        pieces = stream.deal(dataset, [0], [3], SHARDS)
        loops = {count: parallel.on(jax.devices()[:count], MODEL, RECIPE, SHARDS) for count in counts}
        feeds = {
            count: stream.Feed(dataset, pieces, stream.Cut(4, 2, 5), loop.shards, 1e9, 1).at(0)
            for count, loop in loops.items()
        }
        statistics = Normalizer(
            np.zeros((4, 60), np.float32),
            np.ones((4, 60), np.float32),
            np.full(2, 0.01, np.float32),
            np.zeros(16, np.float32),
            np.full(16, 0.1, np.float32),
        )
        states, learned = {}, {}
        for count, loop in loops.items():
            placed = loop.everywhere((statistics, KEY))
            states[count], metrics = loop.learn(loop.create(KEY), feeds[count], *placed, STEPS)
            learned[count] = jax.device_get(states[count].parameters)
        start = training.initial_state(MODEL, RECIPE, KEY)
        rows = jax.tree.map(lambda x: np.asarray(x)[:, None], feeds[1])  # one shard to each device
        steps = functools.partial(training.steps_on_shards, MODEL, RECIPE, axis_name="data")
        mapped = jax.pmap(steps, "data", in_axes=(None, 0, None, None, None), out_axes=None)
        pmapped, _ = mapped(start, rows, statistics, KEY, STEPS)

        checkpoints = Checkpoints(f"{folder}/checkpoints")
        checkpoints.save(STEPS, states[8])
        read = checkpoints.restore(loops[few].template)
        exact = largest_difference(read, states[8])
        again = {}
        for count, state in ((few, read), (8, states[8])):
            again[count], _ = loops[count].learn(
                state, feeds[count], *loops[count].everywhere((statistics, KEY)), STEPS
            )
    alone = learned[1]
    print(json.dumps({
        **{f"one_to_{count}": largest_difference(alone, learned[count]) for count in counts[1:]},
        "one_to_pmap": largest_difference(alone, pmapped.parameters),
        "moved": largest_difference(alone, start.parameters),
        "read_on_few": exact, "devices_then": again[few].step.sharding.num_devices,
        "continued_on_few": largest_difference(again[few].parameters, again[8].parameters),
        "denoising": float(metrics["denoising"]),
    }))  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
