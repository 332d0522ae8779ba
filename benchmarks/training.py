"""What a training step of the controller costs: beside PyTorch, and beside the bare products of its matrices.

Time: about 5 minutes on 2 free CPU cores; PyTorch is left out where torch is not installed.
Measured on 2 cores: speedup_over_torch 1.38 and 1.27 (small, paper), share_of_matmul 0.78.
Command: python benchmarks/training.py [--rounds=9] [--skip_torch]

Our step is the whole of it: windows drawn and cut from recordings, readings disturbed, noise drawn, both networks
forth and back, AdamW, moving average. PyTorch gets its windows ready (pip install 'dexgen_jax[bench]'); of eager and
compiled the better counts. `matmul` multiplies the same matrices, forth and back, and does nothing else. All programs
run in turn, and a ratio is the median over the rounds, so that a disturbance meets both sides. The last line is one
JSON object; `samples` are windows.
"""

import argparse
import functools
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import launch

from dexgen_jax.controller import training
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import normalizer, store, windows

# The sizes of experiments/configs/train_controller.py: of the shipped controller, and the paper's.
MODELS = {
    "small": Model(width=256, depth=1, encoder_width=256, encoder_layers=2, inverse_width=192, inverse_blocks=3),
    "paper": Model(),
}
REST = 0.5  # s before each call: threads of the one before may still spin, waiting for work (OpenMP)
STEPS = 20  # in one call; training takes 100 or more, for a call has its own cost


def recipe(batch: int) -> training.TrainingConfig:
    """That of the laptop size."""
    return training.TrainingConfig(
        steps=8000, batch=batch, learning_rate=1e-3, warmup=200, weight_decay=1e-4, ema=0.998,
        reading_noise=0.025, reading_offset=0.005,
    )  # fmt: skip


def recording(model: Model) -> windows.Recording:
    """Fingers that wander: 64 streams of 320 rows in the form of the stored files."""
    rng, hand = np.random.default_rng(0), model.hand
    shape = (64, 320, hand.num_joints)
    target = hand.prior.joint_mean + 0.1 * np.cumsum(rng.normal(0, 0.1, shape), axis=1)
    target = np.clip(target, hand.lower, hand.upper)
    stored = {"q": store.quantise(target - 0.02), "target": store.quantise(target)}
    flags = np.zeros(shape[:2], np.uint8)
    return windows.recording(stored | {"mode": flags, "flags": flags}, model.history, model.horizon, 20)


@functools.partial(jax.jit, static_argnums=(0, 1, 4))
def drawn(
    model: Model, how: training.TrainingConfig, rows: windows.Recording, key: jax.Array, count: int
) -> tuple[windows.Window, normalizer.Normalizer]:
    """Windows of the recording, and their statistics: one program instead of the hundred that it is op by op."""
    batch = training.draw(model, how, rows, key, count)
    return batch, normalizer.fit(batch)


def ours(model: Model, how: training.TrainingConfig, rows: windows.Recording, steps: int) -> Callable[[], float]:
    """Returns a call that takes `steps` steps and says what one took, in seconds."""
    key = jax.random.PRNGKey(0)
    _, statistics = drawn(model, how, rows, key, 2048)
    state = [training.initial_state(model, how, key)]

    def call() -> float:
        begun = time.perf_counter()
        state[0], metrics = training.train_steps(model, how, state[0], rows, statistics, key, steps)
        jax.block_until_ready((state[0], metrics))
        return (time.perf_counter() - begun) / steps

    return call


def matmul(model: Model, batch: int) -> Callable[[], float]:
    """Returns a call of the products that the dense layers of one step need, and says how long it took."""
    parameters = jax.eval_shape(model.initial_parameters, jax.random.PRNGKey(0))
    kernels = [leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(parameters) if "kernel" in str(path)]
    keys = jax.random.split(jax.random.PRNGKey(1), len(kernels))
    shapes = [((batch, rows), (rows, columns), (batch, columns)) for rows, columns in kernels]
    sides = [[jax.random.normal(key, shape) for shape in one] for key, one in zip(keys, shapes, strict=True)]
    run = jax.jit(lambda sides: [(x @ w, x.T @ g, g @ w.T) for x, w, g in sides])

    def call() -> float:
        begun = time.perf_counter()
        jax.block_until_ready(run(sides))
        return time.perf_counter() - begun

    return call


def torch_steps(
    model: Model, how: training.TrainingConfig, rows: windows.Recording, count: int
) -> dict[str, Callable[[], float]]:
    """Calls of `count` such steps in PyTorch, checked to have the same loss; empty where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import training_torch

    key = jax.random.PRNGKey(3)
    batch, statistics = drawn(model, how, rows, key, how.batch)
    noise = jax.random.normal(key, batch.offsets.shape)
    levels = training.spread_levels(key, jnp.arange(how.batch), how.batch)
    parameters = model.initial_parameters(key)
    loss, _ = jax.jit(functools.partial(training.batch_loss, model))(parameters, statistics, batch, noise, levels)
    encode = lambda function, value: np.asarray(jax.jit(jax.vmap(function))(value))
    ready = {
        "condition": encode(statistics.encode_condition, batch.condition).reshape(how.batch, -1),
        "motion": encode(statistics.encode_offsets, batch.offsets),
        "action": encode(statistics.encode_action, batch.action),
        "noise": np.asarray(noise),
        "step": np.asarray(1 + jnp.int32(levels * model.diffusion_steps)),
        "mode": np.asarray(batch.mode),
    }
    weights = Weights(**parameters, normalizer=statistics)
    steps = training_torch.learning(model, how, weights, ready, float(loss))

    def timed(step: Callable[[], None]) -> float:
        begun = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - begun) / count

    return {f"torch_{name}": functools.partial(timed, step) for name, step in steps.items()}


def measure(size: str, batch: int, rounds: int, with_torch: bool) -> dict[str, float]:
    """The figures of one size, by key."""
    model, how = MODELS[size], recipe(batch)
    rows = recording(model)
    calls = {"ours": ours(model, how, rows, STEPS), "matmul": matmul(model, batch)}
    calls |= torch_steps(model, how, rows, STEPS) if with_torch else {}
    for call in calls.values():
        call(), call()  # compiles
    table = {name: [] for name in calls}
    for number in range(rounds):
        for name, call in calls.items():
            time.sleep(REST)
            table[name].append(call())
        print(f"{size}, round {number + 1}:", {name: round(times[-1], 4) for name, times in table.items()}, flush=True)
    seconds = {name: np.asarray(times) for name, times in table.items()}
    found = {f"samples_per_second_{size}": batch / np.median(seconds["ours"])}
    found[f"share_of_matmul_{size}"] = np.median(seconds["matmul"] / seconds["ours"])
    for name in ("eager", "compiled"):
        if f"torch_{name}" in seconds:
            found[f"speedup_over_torch_{name}_{size}"] = np.median(seconds[f"torch_{name}"] / seconds["ours"])
    speedups = [value for name, value in found.items() if name.startswith("speedup")]
    if speedups:
        found[f"speedup_over_torch_{size}"] = min(speedups)
    return found


def main() -> None:
    """Reads the command line, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=256, help="windows of a step")
    parser.add_argument("--sizes", default="small,paper")
    parser.add_argument("--skip_torch", action="store_true")
    args = parser.parse_args()
    launch.prepare_jax()
    found = {"batch": args.batch}
    for size in args.sizes.split(","):
        found |= measure(size, args.batch, args.rounds, not args.skip_torch)
    shares = [value for name, value in found.items() if name.startswith("share_of_matmul_")]
    found["share_of_matmul"] = min(shares)
    print(json.dumps({name: round(float(value), 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
