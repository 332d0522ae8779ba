"""Every test runs on the CPU, with a compilation cache, and with silent broadcasting turned into an error.

The environment variables are set before JAX is imported; processes that tests start inherit them.
"""

import gc
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A test's program runs for a moment and compiles for seconds: without LLVM's optimisations, in one piece and with XLA's
# older emitters, in a third of the time. `XLA_FLAGS= make test` tests what users run.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_use_fusion_emitters=false",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(REPOSITORY / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax  # noqa: E402

# (3,) + (4, 3) is usually a bug here. MJX needs it: `with jax.numpy_rank_promotion("allow"):` around what traces MJX.
jax.config.update("jax_numpy_rank_promotion", "raise")

sys.path.insert(0, str(REPOSITORY / "experiments"))  # the scripts are imported by their file names

sys.path.insert(0, str(REPOSITORY / "tests" / "hand"))  # the made-up three-finger hand

import numpy as np  # noqa: E402
import pytest  # noqa: E402


def pytest_collection_modifyitems(items):
    """What lasts longest goes first, or one worker would wait for the other in the end."""
    items.sort(key=lambda item: item.path.name != "test_smoke_chain.py")


MOST = 1.3e9  # bytes: a file adds up to half as much, and a worker shall stay below 2 GB


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """After a file that leaves much: programs and the arrays in them would add up to gigabytes in every worker."""
    yield
    pages = Path("/proc/self/statm")  # on Linux
    if not pages.exists() or int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > MOST:
        jax.clear_caches()
        gc.collect()


OBJECTS = ("box_50_50_80", "sphere_64")  # small in number, and one of them has an inertial frame of its own


@pytest.fixture(scope="session")
def engine():
    """The Allegro hand with a box or a sphere, on MuJoCo C with one thread."""
    from dexgen_jax.hand import allegro
    from dexgen_jax.objects import catalog
    from dexgen_jax.physics import engine as engines

    return engines.make(allegro.load(), [catalog.load(name) for name in OBJECTS], "native", threads=1)


@pytest.fixture(scope="session")
def grasps():
    """48 of the shipped, validated grasps of each object."""
    from dexgen_jax.grasps import library

    found = [library.load("shipped", name, "allegro") for name in OBJECTS]
    return [one.take(np.linspace(0, len(one) - 1, 48).astype(int)) for one in found]


@pytest.fixture(scope="session")
def library(grasps):
    from dexgen_jax.grasps import library as libraries

    return libraries.assemble(grasps, libraries.GraphConfig(neighbours=4))


@pytest.fixture(scope="session")
def make_env(engine, library):
    """`make_env({'episode_steps': 3})`: the anygrasp task on the tiny library."""
    from dexgen_jax.envs import registry

    return lambda overrides=None: registry.make("anygrasp", overrides, engine=engine, library=library)
