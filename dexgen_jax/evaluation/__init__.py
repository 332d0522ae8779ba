"""Does the controller help? Operators to be helped, drops counted with intervals, and a report."""

from dexgen_jax import envs  # noqa: F401  it imports Brax without a word
