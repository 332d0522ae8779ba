"""Run with JAX_ENABLE_X64=1: what a loop carries keeps its types, physics and controller run. Prints what was done.

Types are a matter of tracing: what is compiled and run beside it is what calls back into Python. With `run` as its
argument the tasks are compiled and run, too.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.wrappers import training as wrappers

from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.envs import registry
from dexgen_jax.envs.history import History
from dexgen_jax.experts import networks, ppo, training
from dexgen_jax.experts.lookahead import Lookahead, LookaheadConfig
from dexgen_jax.grasps import library
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds


def loop(env, key):
    """Two steps from a reset, as a scan: it refuses a carry whose types change."""
    step = lambda state, _: (env.step(state, jnp.zeros((len(key), 16))), None)
    return jax.lax.scan(step, env.reset(key), None, length=2)[0]


def tasks():
    engine = engines.make(allegro.load(), [catalog.load("cube_55")], "native", threads=1)
    grasps = library.assemble([library.load("shipped", "cube_55", "allegro")], library.GraphConfig())
    sees = {name: {} if name == "free_motion" else {"sees_all": True} for name in registry.TASKS}
    return {name: registry.make(name, sees[name], engine=engine, library=grasps) for name in registry.TASKS}


def physics(engine):
    """A step of the native engine, the object far from the hand."""
    world = worlds.nominal(engine.object(jnp.asarray(0)))
    state = engine.init(jnp.zeros(engine.scene.model.nq, jnp.float32).at[jnp.array([-7, -4])].set(1.0))
    after = jax.jit(engine.step)(state, state.joints(engine.hand), world)
    assert after.qpos.dtype == jnp.float32 and bool(after.finite)


def look_ahead(env):
    """What an expert that looks ahead carries from step to step keeps its types."""
    shape = networks.ActorCritic(networks.NetworkConfig((8,), (8,)), env.action_size)
    sizes = {name: size[0] for name, size in env.observation_size.items()}
    params, stats = shape.init(keys[0], sizes), {name: networks.RunningStats.zeros(d) for name, d in sizes.items()}
    expert = networks.Expert.of(shape, params, stats, {}, returns=ppo.returns(ppo.PPOConfig()))
    for regrasps in (False, True):
        ahead = Lookahead(env, expert, LookaheadConfig(2, regrasps, horizon=2, commit=1, lasts=1))
        step = lambda state, _, ahead=ahead: (ahead.step(state, expert.act(state.obs)), None)
        start = lambda key, ahead=ahead, step=step: jax.lax.scan(step, ahead.reset(key), None, length=2)[0]
        assert jax.eval_shape(start, keys[0]).obs["push"].dtype == jnp.float32


def ten_ticks():
    sizes = dict(width=16, depth=1, encoder_width=16, inverse_width=16, inverse_blocks=1, sampling_steps=2)
    model = Model(diffusion_steps=20, **sizes)
    shapes = jax.eval_shape(model.initial_parameters, jax.random.PRNGKey(0))
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    row, joints = np.ones((model.history, windows.condition_size(model.hand)), np.float32), np.ones(16, np.float32)
    statistics = Normalizer(0 * row, row, 0.01 * joints[:2], 0 * joints, 0.05 * joints)
    controller = Controller(model, Weights(**zeros, normalizer=statistics))
    q = controller.model.hand.prior.joint_mean  # float64, as a driver gives it
    controller.reset(q)
    target = q
    for _ in range(10):
        target, _ = controller.act(q, target, q, strength=0.1)
    assert target.dtype == np.float32 and np.isfinite(target).all()


assert jax.config.jax_enable_x64
keys = jax.random.split(jax.random.PRNGKey(0), 2)
for name, env in tasks().items():
    episode = lambda key, env=env: loop(wrappers.wrap(History(env, 2), 5), key)
    state = jax.jit(episode)(keys) if sys.argv[1:] == ["run"] else jax.eval_shape(episode, keys)
    assert state.obs["state"].dtype == jnp.float32
    print(name)
    if name != "free_motion":  # it has nobody to look ahead
        look_ahead(env)
physics(env.engine)
print("physics")
ten_ticks()
print("controller")
small = networks.NetworkConfig((8,), (8,))
config = ppo.PPOConfig(num_envs=4, unroll_length=4, minibatches=2)
run = training.on(jax.devices(), env, networks.ActorCritic(small, 16), config, 10)
after, _ = jax.eval_shape(run.learn, run.template)
assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in jax.tree.leaves(run.template)]
print("training")
