"""Tasks with the Brax Env API: `reset(rng)`, `step(state, action)`; `load` builds one by its name."""

import contextlib

with contextlib.redirect_stdout(None):  # MJX, which Brax imports, prints that Warp is not installed; it need not be
    import brax.envs.base  # noqa: F401

from dexgen_jax.envs.registry import load, make

__all__ = ["load", "make"]
