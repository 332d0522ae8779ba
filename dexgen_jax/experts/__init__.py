"""Experts: policies that master one task in simulation, learned by PPO."""

from dexgen_jax import envs  # noqa: F401  it imports Brax without a word
