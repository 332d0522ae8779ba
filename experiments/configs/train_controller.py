"""Settings of train_controller.py: the networks' sizes and how long they learn.

Reproduces: arXiv:2502.04307, sections III-C and appendix F, at the paper's size with `:gpu`; where the paper leaves a
value open, a comment names its source.
Expected: held-out action error of samples well under that of holding, and of true motions well under both.
Command: python experiments/train_controller.py --config=experiments/configs/train_controller.py:laptop

Measured on 2 cores:
    smoke   20 s
    laptop  2 min, held-out action error 0.018 rad
    shipped the shipped controller, on the data of collect_dataset.py:shipped: 8 min; see its card
    gpu     never run (6,900 GPU hours in the paper)
"""

from ml_collections import ConfigDict

from dexgen_jax.controller.model import Model
from dexgen_jax.defaults import fill

# Wide and shallow learns more in the same minutes, and acts sooner than deep and as wide: docs/sampler.md.
SMALL = dict(width=256, depth=1, encoder_width=256, encoder_layers=2, inverse_width=192, inverse_blocks=3)
MODEL = {  # where it differs from the paper's sizes
    "smoke": dict(width=32, depth=1, encoder_width=32, encoder_layers=2, inverse_width=32, inverse_blocks=2),
    "laptop": SMALL,
    "shipped": SMALL,
    "gpu": {},
}
OF_DATASET = ("hand_name", "control_hz", "modes")  # the recordings say
RECIPE = {
    "smoke": dict(steps=300, batch=128, learning_rate=3e-3, warmup=20, ema=0.98),
    "laptop": dict(steps=8000, batch=256, learning_rate=1e-3, warmup=200, ema=0.998),
    "shipped": dict(steps=20_000, batch=256, learning_rate=1e-3, warmup=200, ema=0.998),
    "gpu": dict(steps=500_000, batch=16_384, learning_rate=3e-4, warmup=1000, ema=0.9999),
}
SIZES = {
    "smoke": dict(steps_per_call=50, checkpoint_every=100, held_out_windows=256),
    "laptop": dict(steps_per_call=100, checkpoint_every=1000, held_out_windows=2048),
    "shipped": dict(steps_per_call=100, checkpoint_every=1000, held_out_windows=2048),
    "gpu": dict(steps_per_call=200, checkpoint_every=10_000, held_out_windows=8192, shards=64, memory_gb=40.0),
}


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size."""
    config = ConfigDict()
    config.run_dir = f"runs/{size}"  # folder of the run, the same in every stage
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0  # of initial weights, drawn windows and held-out streams
    config.dataset = "run"  # the recordings: run, a folder, or an address such as s3://bucket/recordings
    config.also = ""  # recordings to learn from besides, such as an imported log: a folder or an address
    config.drop_seconds = 2.0  # s, rows this close before a drop are not learned (paper)
    config.held_out = 0.05  # share of the streams kept for the errors in the result
    config.take_new_streams = False  # a run that goes on learns from streams that came since; held-out ones stay
    config.shards = 8  # parts of the recordings, drawn from evenly: a multiple of the devices, a divisor of the batch
    config.memory_gb = 4.0  # GB of recordings on the devices of a process; a larger set streams through as much
    config.steps_per_call = 0  # gradient steps per jitted call and metrics line
    config.checkpoint_every = 0  # steps
    config.fit_windows = 8192  # windows that the normaliser is fitted to
    config.held_out_windows = 0  # windows drawn from the held-out streams
    config.update(SIZES[size])
    config.model = {name: value for name, value in fill(Model(), MODEL[size]).items() if name not in OF_DATASET}
    config.recipe = recipe = ConfigDict(RECIPE[size])  # fields of training.TrainingConfig
    recipe.compute = "float32"  # or bfloat16: what the networks calculate in; parameters stay float32
    recipe.weight_decay = 1e-4  # of AdamW
    recipe.reading_noise = 0.025  # rad, white noise added to the joint readings the networks see (paper, table III)
    recipe.reading_offset = 0.005  # rad, likewise, the same in all rows of a window (paper, table III: per episode)
    return config
