"""Every test runs on the CPU, with a compilation cache, and with silent broadcasting turned into an error.

The environment variables are set before JAX is imported; processes that tests start inherit them.
"""

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(REPOSITORY / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax  # noqa: E402

# (3,) + (4, 3) is usually a bug here. MJX needs it: `with jax.numpy_rank_promotion("allow"):` around what traces MJX.
jax.config.update("jax_numpy_rank_promotion", "raise")

sys.path.insert(0, str(REPOSITORY / "experiments"))  # the scripts are imported by their file names
