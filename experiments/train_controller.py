"""Trains the controller, denoiser and inverse dynamics in one, on the recordings of the run folder.

Reproduces: DexterityGen (arXiv:2502.04307), sections III-C and appendix F, at the scale of the chosen size.
Time, expected figures: see experiments/configs/train_controller.py. Started again, it continues at its last checkpoint.
Command: python experiments/train_controller.py --config=experiments/configs/train_controller.py:laptop
"""

import functools

import dataset_files
import jax
import jax.numpy as jnp
import launch
import numpy as np
import stopping
import training_data
from ml_collections import ConfigDict

from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.controller import parallel, training
from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Trains until `config.recipe.steps` are done, saves the controller, and returns its held-out errors."""
    recipe = training.TrainingConfig(**config.recipe)
    dataset = dataset_files.to_learn_from(config)
    attributes = dataset.attributes
    model = Model(hand_name=attributes["hand"], control_hz=attributes["control_hz"], **config.model)
    key_initial, key_fit, key_train, key_test = jax.random.split(jax.random.PRNGKey(config.seed), 4)
    loop = parallel.on(jax.devices(), model, recipe, config.shards)
    fit = lambda shards: loop.fit(shards, loop.everywhere(key_fit), config.fit_windows)
    data = training_data.settle(dataset, config, model, loop.shards, fit, log.folder / "data", log.writes)
    statistics, key_train = loop.everywhere((data.statistics, key_train))
    checkpoints = Checkpoints(log.folder / "checkpoints")
    done = checkpoints.latest_step() is not None
    state = checkpoints.restore(loop.template) if done else loop.create(key_initial)

    step = int(state.step)
    progress = log.progress("training the controller", recipe.steps, "steps", step)
    with progress as bar, stopping.between_checkpoints() as told:
        while step < recipe.steps:
            count = min(config.steps_per_call, recipe.steps - step)
            shards = data.feed.at(step // config.steps_per_call)
            state, metrics = loop.learn(state, shards, statistics, key_train, count)
            metrics = {name: float(value) for name, value in metrics.items()}
            training.check_finite(metrics, step, step + count)
            step += count
            log.write(step, metrics | {"windows_per_second": bar.rate() * recipe.batch})
            bar.advance(count, **{name: metrics[name] for name in ("denoising", "inverse_dynamics")})
            stop = told()
            if step % config.checkpoint_every < count or step == recipe.steps or stop:
                checkpoints.save(step, state)
            if stop:
                raise stopping.Terminated
    windows = int(jnp.sum(data.feed.at((recipe.steps - 1) // config.steps_per_call).count))  # of all processes
    sizes = {"windows": windows, "streamed": not data.feed.resident, "steps": recipe.steps}
    return present(config, log, model, jax.device_get(state), data, sizes, key_test) if log.writes else {}


def present(
    config: ConfigDict, log: RunLog, model: Model, state: training.TrainState,
    data: training_data.TrainingData, sizes: dict, key: jax.Array,
) -> dict:  # fmt: skip
    """Saves what was trained, on one device, and measures it on windows it has not seen."""
    recipe = training.TrainingConfig(**config.recipe)
    held_out, statistics = data.held_out(), jax.tree.map(jnp.asarray, jax.device_get(data.statistics))
    weights = jax.tree.map(jnp.asarray, state.weights(statistics))
    measure = jax.jit(functools.partial(training.held_out_metrics, model, recipe, count=config.held_out_windows))
    errors = {name: float(value) for name, value in measure(weights, held_out, key).items()}
    sizes = {**sizes, "held_out_windows": int(held_out.count)}
    provenance = {
        "seed": config.seed,
        "recipe": config.recipe.to_dict(),
        "dataset": data.feed.dataset.attributes.get("provenance"),
        **sizes,
        **errors,
    }
    weights = weights.replace(action_std=jnp.float32(errors["action_error_of_samples_rad"]))
    Controller(model, weights).save(log.folder, provenance)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.parameters))
    return {**errors, **sizes, "parameters": parameters, "offset_std_m": np.asarray(statistics.offset_std).tolist()}


if __name__ == "__main__":
    launch.share_freed_memory()
    launch.main(run, several=True)
