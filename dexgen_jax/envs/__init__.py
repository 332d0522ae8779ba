"""Tasks with the Brax Env API: `reset(rng)`, `step(state, action)`; `load` builds one by its name."""

from dexgen_jax.envs.registry import load, make

__all__ = ["load", "make"]
