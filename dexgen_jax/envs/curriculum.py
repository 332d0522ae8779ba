"""Curriculum: one level from 0 to 1 that widens the task while the policy reaches its goals.

At level 1 the task is the configured one. Below, tolerances are looser, goals nearer, and gravity stays around palm-up.
The level lives in `state.info['level']`: a checkpoint of the environments holds it, and a resumed run goes on with it.
"""

import dataclasses

import jax
import jax.numpy as jnp

from dexgen_jax.defaults import require


@dataclasses.dataclass(frozen=True)
class CurriculumConfig:
    """What level 0 is, and when the level moves. The default has no curriculum: it stays at level 1."""

    start: float = 1.0  # level a training begins with; what is not trained on is always level 1
    step: float = 0.0  # change of the level after a rollout
    rise_at: float = 4.0  # goals a minute of a rollout above which the level rises
    fall_at: float = 2.0  # goals a minute below which it falls
    tolerance: float = 1.3  # factor on the three tolerances at level 0; goals must stay outside what it makes of them
    nearest_of: int = 4  # goals drawn, of which at level 0 the nearest counts and at level 1 any
    gravity_angle: float = 0.5  # rad around palm-up at level 0

    def __post_init__(self):
        require(self, counts="nearest_of", positive="tolerance", shares="start")
        if self.step < 0 or self.fall_at > self.rise_at:
            raise ValueError(f"a curriculum needs step >= 0 and fall_at <= rise_at, got {self}")


def advance(level: jax.Array, goals_per_minute: jax.Array, config: CurriculumConfig) -> jax.Array:
    """The next level, of the shape of `level`."""
    rises = (goals_per_minute > config.rise_at).astype(level.dtype)
    falls = (goals_per_minute < config.fall_at).astype(level.dtype)
    return jnp.clip(level + config.step * (rises - falls), 0.0, 1.0)


def between(easy: float, full: float, level: jax.Array) -> jax.Array:
    """`easy` at level 0, `full` at level 1, straight in between."""
    return easy + level * (full - easy)


def tolerance_factor(config: CurriculumConfig, level: jax.Array) -> jax.Array:
    """Factor () on the tolerances, 1 at level 1."""
    return between(config.tolerance, 1.0, level)


def gravity_angle(config: CurriculumConfig, full: float, level: jax.Array) -> jax.Array:
    """How far from palm-up gravity may point, () rad; `full` [rad] at level 1."""
    return between(min(config.gravity_angle, full), full, level)


def choose(key: jax.Array, distance: jax.Array, level: jax.Array) -> jax.Array:
    """Which of some goals at `distance` (m,) counts: the first at level 1, the nearest at level 0."""
    easy = jax.random.bernoulli(key, 1.0 - level)
    return jnp.where(easy, jnp.argmin(distance), 0)
