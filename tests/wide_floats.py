"""Run with JAX_ENABLE_X64=1: everything steps, and what a loop carries keeps its types. Prints what was done."""

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.wrappers import training as wrappers

from dexgen_jax.controller.controller import Controller
from dexgen_jax.envs import registry
from dexgen_jax.envs.history import History
from dexgen_jax.experts import networks, ppo, training
from dexgen_jax.grasps import library
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines


def loop(env, key):
    """Two steps from a reset, as a scan: it refuses a carry whose types change."""
    step = lambda state, _: (env.step(state, jnp.zeros((len(key), 16))), None)
    return jax.lax.scan(step, env.reset(key), None, length=2)[0]


def tasks():
    engine = engines.make(allegro.load(), [catalog.load("cube_55")], "native", threads=1)
    grasps = library.assemble([library.load("shipped", "cube_55", "allegro")], library.GraphConfig())
    return {name: registry.make(name, engine=engine, library=grasps) for name in registry.TASKS}


def ten_ticks():
    controller = Controller.from_pretrained()
    q = controller.model.hand.prior.joint_mean  # float64, as a driver gives it
    controller.reset(q)
    target = q
    for _ in range(10):
        target, _ = controller.act(q, target, q, strength=0.1)
    assert target.dtype == np.float32 and np.isfinite(target).all()


assert jax.config.jax_enable_x64
keys = jax.random.split(jax.random.PRNGKey(0), 2)
for name, env in tasks().items():
    state = jax.jit(lambda key, env=env: loop(wrappers.wrap(History(env, 2), 5), key))(keys)
    assert state.obs["state"].dtype == jnp.float32 and bool(jnp.isfinite(state.obs["state"]).all())
    print(name)
ten_ticks()
print("controller")
small = networks.NetworkConfig((8,), (8,))
config = ppo.PPOConfig(num_envs=4, horizon=4, minibatches=2)
run = training.on(jax.devices(), env, networks.ActorCritic(small, 16), config, 10)
after, _ = jax.eval_shape(run.learn, run.template)
assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in jax.tree.leaves(run.template)]
print("training")
