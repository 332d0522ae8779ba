"""Settings of train_controller.py: the networks' sizes and how long they learn.

Reproduces: arXiv:2502.04307, sections III-C and appendix F; a comment names the source of values it leaves open.
Time on 2 cores: smoke 20 s, laptop 3 min; gpu: days on one GPU (6,900 GPU hours in the paper).
Expected: held-out action error of samples well under that of holding, and of true motions well under both.
Command: python experiments/train_controller.py --config=experiments/configs/train_controller.py:laptop
"""

from ml_collections import ConfigDict

SIZES = {
    "smoke": dict(
        model=dict(width=32, depth=1, encoder_width=32, encoder_layers=2, inverse_width=32, inverse_blocks=2),
        recipe=dict(steps=300, batch=128, learning_rate=3e-3, warmup=20, ema=0.98),
        steps_per_call=50, checkpoint_every=100, held_out_windows=256,
    ),
    "laptop": dict(
        # Wide and shallow learns more in the same minutes, and acts sooner than deep and as wide: docs/sampler.md.
        model=dict(width=256, depth=1, encoder_width=256, encoder_layers=2, inverse_width=192, inverse_blocks=3),
        recipe=dict(steps=8000, batch=256, learning_rate=1e-3, warmup=200, ema=0.998),
        steps_per_call=100, checkpoint_every=1000, held_out_windows=2048,
    ),
    "gpu": dict(
        model=dict(width=768, depth=3, encoder_width=1024, encoder_layers=6, inverse_width=768, inverse_blocks=4),
        recipe=dict(steps=500_000, batch=16_384, learning_rate=3e-4, warmup=1000, ema=0.9999),
        steps_per_call=200, checkpoint_every=10_000, held_out_windows=8192,
    ),
}  # fmt: skip


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    config = ConfigDict()
    config.run_dir = f"runs/{size}"  # folder of the run; the controller goes to its controller/
    config.seed = 0  # of initial weights, drawn windows and held-out streams
    config.dataset = ""  # folder of the recordings; empty: dataset/ in the run folder
    config.drop_seconds = 2.0  # s, rows this close before a drop are not learned (paper)
    config.held_out = 0.05  # share of the streams kept for the errors in the result
    config.take_new_streams = False  # a run that goes on learns from streams that came since; held-out ones stay
    config.steps_per_call = 0  # gradient steps per jitted call and metrics line
    config.checkpoint_every = 0  # steps
    config.fit_windows = 8192  # windows that the normaliser is fitted to
    config.held_out_windows = 0  # windows drawn from the held-out streams
    config.model = model = ConfigDict()
    model.width = 0  # of the denoiser's blocks (paper 768)
    model.depth = 0  # of its U: blocks on each side (paper 3)
    model.encoder_width = 0  # of the state encoder (paper 1024)
    model.encoder_layers = 0  # (paper 6)
    model.inverse_width = 0  # of the inverse dynamics' residual blocks
    model.inverse_blocks = 0  # how many of them
    model.history = 4  # rows of joint readings in the condition (paper)
    model.horizon = 2  # control steps ahead (paper)
    model.diffusion_steps = 100  # in training; diffusion policy's, arXiv:2303.04137
    model.sampling_steps = 8  # DDIM steps in use (paper 8 or 12)
    model.clean_limit = 6.0  # offset standard deviations; bounds the sampler's early guesses
    config.recipe = recipe = ConfigDict()
    recipe.steps = 0  # gradient steps
    recipe.batch = 0  # windows per step
    recipe.learning_rate = 0.0  # of AdamW, after warm-up and before cosine decay
    recipe.warmup = 0  # steps
    recipe.weight_decay = 1e-4  # of AdamW
    recipe.ema = 0.0  # share of the moving average that a step keeps
    recipe.reading_noise = 0.025  # rad, white noise added to the joint readings the networks see (paper, table III)
    recipe.reading_offset = 0.005  # rad, likewise, the same in all rows of a window (paper, table III: per episode)
    config.update(SIZES[size])
    return config
