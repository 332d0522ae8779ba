"""dexgen_jax: dexterous manipulation from grasps to an assisted operator, in the order in which the data flows."""

import contextlib
import importlib.metadata
import os

__version__ = "0.1.0"

# XLA's CPU scheduler runs independent parts of a program at once, and a program that calls back into Python (the native
# engine does) may then wait for itself for ever: seen with jaxlib 0.10.2 on two cores, in every evaluation of one kind.
# Without it nothing is slower. Read once, when JAX meets its first array; newer versions may not know the flag.
_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"
with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a robot that asks a server may have no JAX
    _JAXLIB = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2]))
    if (0, 6) <= _JAXLIB < (0, 11) and _FLAG not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}=false".strip()
