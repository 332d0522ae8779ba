"""Trains the controller, denoiser and inverse dynamics in one, on the recordings of the run folder.

Reproduces: DexterityGen (arXiv:2502.04307), sections III-C and appendix F, at the scale of the chosen size.
Time, expected figures: see experiments/configs/train_controller.py. Started again, it continues at its last checkpoint.
Command: python experiments/train_controller.py --config=experiments/configs/train_controller.py:laptop
"""

import functools

import artefacts
import jax
import launch
import numpy as np
import training_data
from ml_collections import ConfigDict

from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.controller import training
from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model
from dexgen_jax.dataset import normalizer, store
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Trains until `config.recipe.steps` are done, saves the controller, and returns its held-out errors."""
    recipe = training.Recipe(**config.recipe)
    dataset = store.open_dataset(artefacts.folder(config, "dataset"), artefacts.hand(config))
    attributes = dataset.attributes
    model = Model(hand_name=attributes["hand"], control_hz=attributes["control_hz"], **config.model)
    key_initial, key_fit, key_train, key_test = jax.random.split(jax.random.PRNGKey(config.seed), 4)
    fit = jax.jit(lambda rows: normalizer.fit(training.draw(model, recipe, rows, key_fit, config.fit_windows)))
    data = training_data.settle(dataset, config, model, fit, log.folder / "data", log.writes)
    train, held_out, statistics = data.train, data.held_out, data.statistics
    checkpoints = Checkpoints(log.folder / "checkpoints")
    if checkpoints.latest_step() is None:
        state = training.initial_state(model, recipe, key_initial)
    else:
        state = checkpoints.restore(jax.eval_shape(lambda: training.initial_state(model, recipe, key_initial)))

    step = int(state.step)
    with log.progress("training the controller", recipe.steps, "steps", step) as bar:
        while step < recipe.steps:
            count = min(config.steps_per_call, recipe.steps - step)
            state, metrics = training.train_steps(model, recipe, state, train, statistics, key_train, count)
            metrics = {name: float(value) for name, value in metrics.items()}
            training.check_finite(metrics, step, step + count)
            step += count
            log.write(step, metrics | {"windows_per_second": bar.rate() * recipe.batch})
            bar.advance(count, **{name: metrics[name] for name in ("denoising", "inverse_dynamics")})
            if step % config.checkpoint_every < count or step == recipe.steps:
                checkpoints.save(step, state)

    weights = state.weights(statistics)
    measure = jax.jit(functools.partial(training.held_out_metrics, model, recipe, count=config.held_out_windows))
    errors = {name: float(value) for name, value in measure(weights, held_out, key_test).items()}
    sizes = {"windows": len(train.index), "held_out_windows": len(held_out.index), "steps": recipe.steps}
    made = {
        "seed": config.seed,
        "recipe": config.recipe.to_dict(),
        "dataset": attributes.get("made"),
        **sizes,
        **errors,
    }
    Controller(model, weights).save(log.folder, made)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.parameters))
    return {**errors, **sizes, "parameters": parameters, "offset_std_m": np.asarray(statistics.offset_std).tolist()}


if __name__ == "__main__":
    launch.main(run)
