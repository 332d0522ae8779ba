"""Every test runs on the CPU, with a compilation cache, and with silent broadcasting turned into an error.

The environment variables are set before JAX is imported; processes that tests start inherit them.
"""

import gc
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

sys.path.insert(0, str(REPOSITORY / "tests" / "hand"))  # the made-up three-finger hand

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """After each file: programs and the arrays in them would add up to gigabytes in every worker."""
    yield
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
def grow():
    """`grow(engine)`: validated grasps of each of the engine's objects, about half of the tries."""
    from dexgen_jax.grasps import sample, settle
    from dexgen_jax.physics import world as worlds

    def of_each(engine, tries=96):
        @jax.jit
        def attempt(index):
            keys = jax.random.split(jax.random.PRNGKey(index), tries)
            start = jax.vmap(sample.cup, (0, None))(keys, engine.hand)
            world = worlds.nominal(engine.object(index))
            return settle.settle(engine, world, start, jnp.ones(tries, bool), settle.SettleConfig())

        found = [jax.device_get(attempt(jnp.asarray(i))) for i in range(len(engine.objects.kind))]
        return [jax.tree.map(lambda x, keep=one.accepted: x[keep], one) for one in found]

    return of_each


@pytest.fixture(scope="session")
def grasps(engine, grow):
    """Some tens of validated grasps of each object."""
    from dexgen_jax.grasps import library

    return [
        library.ObjectGrasps(
            engine.hand.name,
            name,
            good.q,
            good.target,
            good.object_pose,
            good.touches,
            np.zeros(len(good.q), np.uint8),
            made={},
        )  # fmt: skip
        for name, good in zip(OBJECTS, grow(engine), strict=True)
    ]


@pytest.fixture(scope="session")
def library(grasps):
    from dexgen_jax.grasps import library as libraries

    return libraries.assemble(grasps, libraries.GraphConfig(neighbours=4))


@pytest.fixture(scope="session")
def make_env(engine, library):
    """`make_env({'episode_steps': 3})`: the anygrasp task on the tiny library."""
    from dexgen_jax.envs import registry

    return lambda overrides=None: registry.make("anygrasp", overrides, engine=engine, library=library)
