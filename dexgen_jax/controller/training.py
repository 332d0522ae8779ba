"""Training: denoiser and inverse dynamics learn together, from windows cut on the device inside the jitted step.

Recordings come in shards, and a step draws the same number of windows from each. Every random number follows from
`fold_in` of the step and the number of the shard, so a resumed run equals one that was never interrupted, and the same
is learned whatever number of devices share the shards out (`parallel.on`).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from dexgen_jax.controller import diffusion
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.controller.sampler import TEMPERATURE, sample_motion
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer

Metrics = dict[str, jax.Array]
LOSSES = ("denoising", "inverse_dynamics")
COMPUTE = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train: hashable, a static argument of the jitted step."""

    steps: int  # gradient steps in all; the learning rate ends at zero there
    batch: int  # windows per step, on all devices together
    learning_rate: float  # at its peak
    warmup: int  # steps
    weight_decay: float
    ema: float  # share of the average that a step keeps, at the end
    reading_noise: float  # rad, standard deviation of the joint readings that the networks see, in every row
    reading_offset: float  # rad, likewise, the same in all rows of a window
    compute: str = "float32"  # or bfloat16: what the networks calculate in; parameters and losses stay float32

    def __post_init__(self) -> None:
        """Refuses a number format that is not one of the two."""
        if self.compute not in COMPUTE:
            raise ValueError(f"no number format {self.compute!r} to compute in; there are: {', '.join(COMPUTE)}")

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """AdamW with linear warm-up and cosine decay, gradients clipped to unit norm."""
        peak = self.learning_rate
        rate = optax.warmup_cosine_decay_schedule(peak / self.warmup, peak, self.warmup, self.steps)
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=self.weight_decay))


@struct.dataclass
class TrainState:
    """Everything that an exact resume needs."""

    step: jax.Array  # () int32
    parameters: Any  # {'denoiser', 'inverse_dynamics'}
    average: Any  # their moving average: what is used and saved in the end
    optimizer: optax.OptState

    def weights(self, normalizer: Normalizer) -> Weights:
        """Returns the averaged networks."""
        return Weights(**self.average, normalizer=normalizer)


@functools.partial(jax.jit, static_argnums=(0, 1))
def initial_state(model: Model, recipe: TrainingConfig, key: jax.Array) -> TrainState:
    """Returns the state before the first step."""
    parameters = model.initial_parameters(key)
    return TrainState(jnp.int32(0), parameters, parameters, recipe.optimizer.init(parameters))


def draw(
    model: Model, recipe: TrainingConfig, recording: windows.Recording, key: jax.Array, batch: int
) -> windows.Window:
    """Draws `batch` windows as the networks see them: of the model's lengths, with the recipe's disturbed readings."""
    lengths, noise = (model.history, model.horizon), (recipe.reading_noise, recipe.reading_offset)
    return windows.draw(model.hand, recording, key, batch, *lengths, noise)


def window_loss(
    model: Model, parameters: Any, normalizer: Normalizer, window: windows.Window, step: jax.Array, noise: jax.Array,
    compute: str = "float32",
) -> Metrics:  # fmt: skip
    """Returns the losses of one window whose motion is mixed with `noise` (T, K, 3) as at diffusion step `step` ().

    The networks calculate in the number format `compute`; what goes in and comes out is float32.
    """
    condition = normalizer.encode_condition(window.condition)
    motion = normalizer.encode_offsets(window.offsets)
    noisy = diffusion.add_noise(model.schedule, motion, noise, step)
    narrow = functools.partial(jax.tree.map, lambda x: x.astype(compute))
    denoiser, inverse = narrow(parameters["denoiser"]), narrow(parameters["inverse_dynamics"])
    guess = model.denoiser.apply(denoiser, narrow(noisy), step, narrow(condition), window.mode)
    wanted = diffusion.velocity(model.schedule, motion, noise, step)
    denoising = jnp.mean((guess.astype(wanted.dtype) - wanted) ** 2)
    action = model.inverse_dynamics.apply(inverse, narrow(condition), narrow(motion))
    regression = jnp.mean((action.astype(wanted.dtype) - normalizer.encode_action(window.action)) ** 2)
    return dict(zip(LOSSES, (denoising, regression), strict=True))


def batch_loss(
    model: Model, parameters: Any, normalizer: Normalizer, batch: windows.Window, noise: jax.Array, levels: jax.Array,
    compute: str = "float32",
) -> tuple[jax.Array, Metrics]:  # fmt: skip
    """Returns the loss () of windows (B, ...), and its parts.

    Window i is mixed with `noise` (B, T, K, 3) as at the diffusion step that `levels` (B,), in [0, 1), say.
    """
    steps = 1 + jnp.int32(levels * model.diffusion_steps)
    loss = functools.partial(window_loss, model, parameters, normalizer, compute=compute)
    metrics = jax.tree.map(jnp.mean, jax.vmap(loss)(batch, steps, noise))
    return sum(metrics.values()), metrics


def spread_levels(key: jax.Array, places: jax.Array, count: int) -> jax.Array:
    """Returns noise levels in [0, 1) for `places` (...) among `count`: spread evenly, and each of them uniform.

    There is less noise in a loss over levels that do not cluster. Source: arXiv:2107.00630, appendix I.
    """
    return (places / count + jax.random.uniform(key)) % 1


def draw_shards(
    model: Model, recipe: TrainingConfig, shards: windows.Recording, key: jax.Array, first: jax.Array, count: int
) -> tuple[windows.Window, jax.Array, jax.Array]:
    """Draws this device's part of a batch: windows (B, ...), noise (B, T, K, 3) and noise levels (B,).

    `shards` (s, ...) are those from number `first` () on of `count` in all. Each has noise of its own; the levels of a
    batch are dealt out in turn.
    """
    key_levels, key_shards = jax.random.split(key)
    each, own = recipe.batch // count, len(shards.count)
    numbers = first + jnp.arange(own)

    def of_shard(recording: windows.Recording, number: jax.Array) -> tuple[windows.Window, jax.Array]:
        key_draw, key_noise = jax.random.split(jax.random.fold_in(key_shards, number))
        noise = jax.random.normal(key_noise, (each, *model.motion_shape))
        return draw(model, recipe, recording, key_draw, each), noise

    drawn = jax.vmap(of_shard)(shards, numbers)
    places = numbers[:, None] + count * jnp.arange(each)[None]
    rows = (*drawn, spread_levels(key_levels, places, recipe.batch))
    return jax.tree.map(lambda x: x.reshape(own * each, *x.shape[2:]), rows)


def train_step(
    model: Model, recipe: TrainingConfig, state: TrainState, shards: windows.Recording, normalizer: Normalizer,
    key: jax.Array, axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:  # fmt: skip
    """One gradient step on recordings in shards (s, ...), of which each device has its own where `axis_name` is set.

    Gradients are averaged over that axis, of `jax.shard_map` or `jax.pmap`; all shards together give the batch.
    """
    key, first, count = jax.random.fold_in(key, state.step), 0, len(shards.count)
    if axis_name is not None:
        first, count = jax.lax.axis_index(axis_name) * count, jax.lax.axis_size(axis_name) * count
    batch = draw_shards(model, recipe, shards, key, first, count)
    loss = lambda parameters: batch_loss(model, parameters, normalizer, *batch, recipe.compute)
    gradient, metrics = jax.grad(loss, has_aux=True)(state.parameters)
    if axis_name is not None:
        gradient, metrics = jax.lax.pmean((gradient, metrics), axis_name)
    update, optimizer = recipe.optimizer.update(gradient, state.optimizer, state.parameters)
    parameters = optax.apply_updates(state.parameters, update)
    # A young average forgets faster, or it would remember the random start.
    keep = jnp.minimum(recipe.ema, (1 + state.step) / (10 + state.step))
    average = optax.incremental_update(parameters, state.average, 1 - keep)
    return TrainState(state.step + 1, parameters, average, optimizer), metrics


def steps_on_shards(
    model: Model, recipe: TrainingConfig, state: TrainState, shards: windows.Recording, normalizer: Normalizer,
    key: jax.Array, count: jax.Array, axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:  # fmt: skip
    """Takes `count` () steps in a row and returns the mean of their metrics; see `train_step`."""

    def body(_: jax.Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        state, total = carry
        state, metrics = train_step(model, recipe, state, shards, normalizer, key, axis_name)
        return state, jax.tree.map(jnp.add, total, metrics)

    nothing = dict.fromkeys(LOSSES, jnp.float32(0))
    state, total = jax.lax.fori_loop(0, count, body, (state, nothing))
    return state, jax.tree.map(lambda value: value / count, total)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def train_steps(
    model: Model, recipe: TrainingConfig, state: TrainState, recording: windows.Recording, normalizer: Normalizer,
    key: jax.Array, count: jax.Array,
) -> tuple[TrainState, Metrics]:  # fmt: skip
    """Takes `count` () steps on one device in one call, with a recording not cut into shards; donates `state`.

    Returns the state after them and the mean of their metrics.
    """
    return steps_on_shards(model, recipe, state, jax.tree.map(lambda x: x[None], recording), normalizer, key, count)


def held_out_metrics(
    model: Model, recipe: TrainingConfig, weights: Weights, recording: windows.Recording, key: jax.Array, count: int
) -> Metrics:
    """Measures a controller on `count` windows that it has not seen; root mean squares in rad and m.

    Beside the errors stand those of doing nothing: keeping the joint target, keeping the keypoints.
    """
    key_draw, key_noise, key_levels, key_sample = jax.random.split(key, 4)
    batch = draw(model, recipe, recording, key_draw, count)
    noise = jax.random.normal(key_noise, (count, *model.motion_shape))
    levels = spread_levels(key_levels, jnp.arange(count), count)
    parameters = {"denoiser": weights.denoiser, "inverse_dynamics": weights.inverse_dynamics}
    normalizer = weights.normalizer

    def errors(window: windows.Window, key: jax.Array) -> Metrics:
        condition = normalizer.encode_condition(window.condition)
        sampled = sample_motion(model, weights, condition, window.mode, key, temperature=TEMPERATURE)

        def action_error(motion: jax.Array) -> jax.Array:
            wanted = model.inverse_dynamics.apply(weights.inverse_dynamics, condition, motion)
            return normalizer.decode_action(wanted) - window.action

        return {
            "action_error_rad": action_error(normalizer.encode_offsets(window.offsets)),
            "action_error_of_samples_rad": action_error(sampled),
            "action_error_of_holding_rad": window.condition[-1, -model.hand.num_joints :] - window.action,
            "motion_error_of_samples_m": normalizer.decode_offsets(sampled) - window.offsets,
            "motion_error_of_holding_m": window.offsets,
        }

    _, losses = batch_loss(model, parameters, normalizer, batch, noise, levels)
    measured = jax.vmap(errors)(batch, jax.random.split(key_sample, count))
    mean_square = {name: jnp.sqrt(jnp.mean(error**2)) for name, error in measured.items()}
    return {f"{name}_loss": losses[name] for name in ("denoising", "inverse_dynamics")} | mean_square


def check_finite(metrics: dict[str, float], first: int, last: int) -> None:
    """Stops training on a loss that is not a number; host side, `first` and `last` name the steps in between."""
    broken = {name: value for name, value in metrics.items() if not abs(value) < float("inf")}
    if broken:
        raise FloatingPointError(
            f"the loss became non-finite between steps {first} and {last}: {broken}; "
            "resume from the last checkpoint with a smaller learning_rate"
        )
