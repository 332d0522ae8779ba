import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import normalizer, windows
from dexgen_jax.hand import allegro


@pytest.fixture(scope="session")
def tiny() -> Model:
    return Model(width=16, encoder_width=16, inverse_width=16, inverse_blocks=1, sampling_steps=3, diffusion_steps=20)


@pytest.fixture(scope="session")
def recording() -> windows.Recording:
    """Fingers that follow slowly wandering targets: 16 streams of 20 s."""
    hand, rng = allegro.load(), np.random.default_rng(0)
    streams, rows = 16, 200
    middle = (hand.lower + hand.upper) / 2
    q = target = np.tile(middle, (streams, 1))
    history = []
    for _ in range(rows):
        history.append((q, target))
        target = np.clip(
            target + 0.08 * rng.standard_normal(q.shape) + 0.05 * (middle - target), hand.lower, hand.upper
        )
        q = q + 0.6 * (target - q)
    flags = np.zeros((streams, rows), np.uint8)
    flags[:, 0] = windows.FIRST
    stored = [np.round(np.stack(rows, 1) / windows.RESOLUTION).astype(np.int16) for rows in zip(*history, strict=True)]
    return windows.Recording(
        *(jnp.asarray(a) for a in (*stored, np.zeros_like(flags), windows.valid_index(flags, 4, 2, 20)))
    )


@pytest.fixture(scope="session")
def statistics(recording) -> normalizer.Normalizer:
    return normalizer.fit(windows.draw(allegro.load(), recording, jax.random.PRNGKey(1), 512, 4, 2))


@pytest.fixture(scope="session")
def untrained(tiny, statistics) -> Weights:
    return Weights(**tiny.initial_parameters(jax.random.PRNGKey(2)), normalizer=statistics)
