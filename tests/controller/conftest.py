import fake_streams
import jax
import pytest

from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import normalizer, windows
from dexgen_jax.hand import allegro


@pytest.fixture(scope="session")
def tiny() -> Model:
    return Model(width=16, encoder_width=16, inverse_width=16, inverse_blocks=1, sampling_steps=3, diffusion_steps=20)


@pytest.fixture(scope="session")
def recording() -> windows.Recording:
    return windows.recording(fake_streams.columns(16, 200), 4, 2, 20)


@pytest.fixture(scope="session")
def statistics(recording) -> normalizer.Normalizer:
    fit = jax.jit(lambda key: normalizer.fit(windows.draw(allegro.load(), recording, key, 512, 4, 2)))
    return fit(jax.random.PRNGKey(1))


@pytest.fixture(scope="session")
def untrained(tiny, statistics) -> Weights:
    return Weights(**jax.jit(tiny.initial_parameters)(jax.random.PRNGKey(2)), normalizer=statistics)
