"""Run with four host devices by test_training.py: one iteration under shard_map and under pmap, what 1, 2 and 4 devices
learn from the same batch, and a training on two that is stopped and continued; prints how they differ."""

import functools
import json
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from toy_env import Walk

from dexgen_jax.checkpoints import Checkpoints
from dexgen_jax.experts import ppo, rollout, training
from dexgen_jax.experts.networks import ActorCritic, NetworkConfig
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics import world as worlds

ENV = Walk()
MESH = jax.make_mesh((2,), ("data",), devices=jax.devices()[:2])
CONFIG = ppo.PPOConfig(num_envs=8, unroll_length=4, epochs=2, minibatches=2)
NETWORKS = ActorCritic(NetworkConfig(actor=(8,), critic=(8,)), ENV.action_size)


def largest_difference(tree, other):
    apart = jax.tree.map(lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()), tree, other)
    return max(jax.tree.leaves(apart))


def native_physics_is_the_same():
    """The callback of the native engine, called by both devices at once."""
    engine = engines.make(allegro.load(), [catalog.load("sphere_64")], "native", threads=1)
    qpos = jnp.zeros((4, engine.scene.model.nq)).at[:, -7].set(jnp.arange(1.0, 5.0)).at[:, -4].set(1.0)
    world = worlds.nominal(engine.object(jnp.asarray(0)))
    fall = jax.vmap(lambda q: engine.step(engine.init(q), jnp.zeros(engine.hand.num_joints), world).qpos)
    mapped = jax.shard_map(fall, mesh=MESH, in_specs=P("data"), out_specs=P("data"), check_vma=False)
    shared = jax.jit(mapped)(jax.device_put(qpos, NamedSharding(MESH, P("data"))))
    return bool((np.asarray(shared) == np.asarray(jax.jit(fall)(qpos))).all())


def learned(state, steps, count):
    """The parameters after `count` devices have shared out the environments of one rollout."""
    mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
    # One minibatch: more would be other samples together on other numbers of devices.
    whole = ppo.PPOConfig(**{**vars(CONFIG), "minibatches": 1, "epochs": 3})
    learn = lambda steps: ppo.learn(NETWORKS, whole, state, steps, jax.random.PRNGKey(1), "data")[0].params
    mapped = jax.shard_map(learn, mesh=mesh, in_specs=P(None, "data"), out_specs=P(), check_vma=False)
    return jax.jit(mapped)(jax.device_put(steps, NamedSharding(mesh, P(None, "data"))))


def continued():
    """Three iterations on two devices: in one go, and the last two from a checkpoint, which one device reads too."""
    alone, both = (training.on(jax.devices()[:n], ENV, NETWORKS, CONFIG, ENV.episode_steps) for n in (1, 2))
    state, _ = both.learn(both.create(jax.random.PRNGKey(0)))
    with tempfile.TemporaryDirectory() as folder:
        Checkpoints(folder).save(1, state)
        again, elsewhere = (Checkpoints(folder).restore(loop.template) for loop in (both, alone))
    read = largest_difference(elsewhere, state)
    for _ in range(2):
        state, again = both.learn(state)[0], both.learn(again)[0]
    places = {leaf.sharding.num_devices for leaf in jax.tree.leaves(again)}
    return {
        "read_on_one_device": read,
        "devices_of_continued": list(places),
        "continued": largest_difference(state, again),
        "steps": int(again.step),
    }


def main():
    step = functools.partial(ppo.iteration, ENV, NETWORKS, CONFIG, axis_name="data")
    both = ppo.PPOConfig(**{**vars(CONFIG), "num_envs": 2 * CONFIG.num_envs})
    start = ppo.init(ENV, NETWORKS, both, jax.random.PRNGKey(0), ENV.episode_steps)

    # The environments are shared out, all else is on every device. Gradients are averaged by `iteration` itself, so
    # shard_map must not add sums of its own: check_vma=False.
    specs = jax.tree.map(lambda _: P(), start).replace(env=jax.tree.map(lambda _: P("data"), start.env))
    mapped = jax.shard_map(step, mesh=MESH, in_specs=(specs,), out_specs=(specs, P()), check_vma=False)
    placed = jax.device_put(start, jax.tree.map(lambda spec: NamedSharding(MESH, spec), specs))
    sharded, _ = jax.jit(mapped)(placed)

    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), start)
    stacked = stacked.replace(env=jax.tree.map(lambda x: x.reshape(2, -1, *x.shape[1:]), start.env))
    pmapped, _ = jax.pmap(step, axis_name="data")(stacked)

    # From equal environments on both devices, only the noise of the actions can lead apart.
    twins = stacked.replace(env=jax.tree.map(lambda x: jnp.stack([x[0], x[0]]), stacked.env))
    place = jax.pmap(step, axis_name="data")(twins)[0].env.pipeline_state

    first, second = (jax.tree.map(lambda x, i=i: x[i], pmapped) for i in (0, 1))
    policy = lambda obs, key: NETWORKS.policy(start.params, start.stats, obs).sample(key)
    _, steps = rollout.rollout(ENV, policy, start.env, jax.random.PRNGKey(2), CONFIG.unroll_length)
    batch = jax.device_get((start, steps))  # on no device yet
    alone, by_two, by_four = (jax.device_get(learned(*batch, count)) for count in (1, 2, 4))

    print(
        json.dumps(
            {
                "devices": jax.device_count(),
                "parameters_shard_map_to_pmap": largest_difference(sharded.params, first.params),
                "parameters_between_devices": largest_difference(first.params, second.params),
                "statistics_between_devices": largest_difference(first.stats, second.stats),
                "parameters_moved": largest_difference(first.params, start.params),
                "parameters_one_to_two": largest_difference(alone, by_two),
                "parameters_one_to_four": largest_difference(alone, by_four),
                "noise_differs": bool(np.abs(place[0] - place[1]).max() > 0),
                **continued(),
                "native_physics_is_the_same": native_physics_is_the_same(),
            }
        )
    )


if __name__ == "__main__":
    main()
