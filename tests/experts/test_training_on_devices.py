"""Laws: devices that share a training stay alike, and it goes on from disk, on as many devices or on others."""

import json
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import processes
import pytest
from toy_env import Walk

from dexgen_jax.experts import ppo, training
from dexgen_jax.experts.networks import ActorCritic, Expert, NetworkConfig

ENV = Walk()
CONFIG = ppo.PPOConfig(num_envs=8, unroll_length=4, epochs=1, minibatches=2)
NETWORKS = ActorCritic(NetworkConfig(actor=(8,), critic=(8,)), ENV.action_size)


@pytest.fixture(scope="module")
def found():
    """What devices.py found with four devices."""
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    script = Path(__file__).with_name("devices.py")
    done = processes.run([sys.executable, str(script)], env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_devices_agree_under_shard_map_and_under_pmap_however_many_they_are(found):
    assert found["devices"] == 4
    assert found["parameters_shard_map_to_pmap"] < 1e-6
    assert found["parameters_one_to_two"] < 1e-5 and found["parameters_one_to_four"] < 1e-5
    assert found["parameters_between_devices"] == 0 and found["statistics_between_devices"] == 0
    assert found["parameters_moved"] > 1e-3
    assert found["noise_differs"] and found["native_physics_is_the_same"]


@pytest.mark.slow
def test_a_training_on_two_devices_goes_on_from_disk_as_if_never_stopped(found):
    assert found["continued"] == 0 and found["steps"] == 3 and found["devices_of_continued"] == [2]
    assert found["read_on_one_device"] == 0  # and could go on there


def test_one_device_runs_the_plain_iteration():
    loop = training.on(jax.devices()[:1], ENV, NETWORKS, CONFIG, ENV.episode_steps)
    plain = jax.jit(lambda s: ppo.iteration(ENV, NETWORKS, CONFIG, s), donate_argnums=0)
    assert loop.learn.lower(loop.template).as_text() == plain.lower(loop.template).as_text()


def test_an_iteration_is_compiled_once():
    loop = training.on(jax.devices()[:1], ENV, NETWORKS, CONFIG, ENV.episode_steps)
    after, _ = jax.eval_shape(loop.learn, loop.template)
    kind = lambda tree: [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(tree)]
    assert kind(after) == kind(loop.template)  # a weak type that becomes a strong one is another program
    assert not any(x.weak_type for x in jax.tree.leaves(loop.template))  # what is read from disk has none


def test_a_training_may_start_from_an_expert_of_its_sizes():
    init = jax.jit(lambda key: ppo.init(ENV, NETWORKS, CONFIG, key, ENV.episode_steps))
    created = [init(jax.random.PRNGKey(i)) for i in range(2)]
    expert = Expert.of(NETWORKS, created[0].params, created[0].stats, env={})
    started = training.start_from(created[1], expert)
    jax.tree.map(np.testing.assert_array_equal, started.params["actor"], created[0].params["actor"])
    jax.tree.map(np.testing.assert_array_equal, started.stats["state"], created[0].stats["state"])
    jax.tree.map(np.testing.assert_array_equal, started.params["critic"], created[1].params["critic"])
    jax.tree.map(np.testing.assert_array_equal, started.env, created[1].env)
    other = ActorCritic(NetworkConfig(actor=(16,), critic=(8,)), ENV.action_size)
    params = other.init(jax.random.PRNGKey(0), {name: shape[0] for name, shape in ENV.observation_size.items()})
    with pytest.raises(ValueError, match=r"has \(16,\) at .*bias.* where this training has \(8,\): give it the widt"):
        training.start_from(created[1], Expert.of(other, params, created[0].stats, env={}))
    deeper = ActorCritic(NetworkConfig(actor=(8, 8), critic=(8,)), ENV.action_size)
    params = deeper.init(jax.random.PRNGKey(0), {name: shape[0] for name, shape in ENV.observation_size.items()})
    with pytest.raises(ValueError, match=r"at .*Dense_1.* where this training has \(2,\): give it the widths"):
        training.start_from(created[1], Expert.of(deeper, params, created[0].stats, env={}))


def test_a_narrow_expert_goes_on_as_it_was_and_learns_to_use_its_new_units():
    narrow, broad = (
        ActorCritic(NetworkConfig(actor=widths, critic=(8,)), ENV.action_size) for widths in ((8, 6), (12, 7))
    )
    small, fresh = (
        jax.jit(lambda key, net=net: ppo.init(ENV, net, CONFIG, key, ENV.episode_steps))(jax.random.PRNGKey(i))
        for i, net in enumerate((narrow, broad))
    )
    bent = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.PRNGKey(x.size), x.shape), small.params)
    expert = Expert.of(narrow, bent, small.stats, env={})
    started = training.start_from(fresh, expert)
    seen = jax.random.normal(jax.random.PRNGKey(2), (6, 4))
    wide = Expert.of(broad, started.params, started.stats, env={})
    np.testing.assert_allclose(wide.act({"state": seen}), expert.act({"state": seen}), atol=1e-6)
    learned, _ = jax.jit(lambda state: ppo.iteration(ENV, broad, CONFIG, state))(started)
    was, became = (state.params["actor"]["params"] for state in (started, learned))
    assert all((np.abs(became[name]["kernel"] - was[name]["kernel"]) > 0).any(1).all() for name in was)


def test_an_expert_that_saw_less_goes_on_as_it_was_and_learns_to_use_the_rest():
    class Half(Walk):
        """The first two of what there is to see: where it is, but not where to go."""

        observation_size = {"state": (2,), "privileged_state": (5,)}

        def _observe(self, place, info):
            seen = super()._observe(place, info)
            return seen | {"state": seen["state"][:2]}

    half, fresh = (
        jax.jit(lambda key, env=env: ppo.init(env, NETWORKS, CONFIG, key, ENV.episode_steps))(jax.random.PRNGKey(i))
        for i, env in enumerate((Half(), ENV))
    )
    bent = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.PRNGKey(x.size), x.shape), half.params)
    stats = {name: one.update(jnp.eye(one.mean.size) * 3 + 1) for name, one in half.stats.items()}
    expert = Expert.of(NETWORKS, bent, stats, env={})
    started = training.start_from(fresh, expert)
    seen = jax.random.normal(jax.random.PRNGKey(2), (6, 4))
    wide = Expert.of(NETWORKS, started.params, started.stats, env={})
    np.testing.assert_array_equal(wide.act({"state": seen}), expert.act({"state": seen[:, :2]}))
    np.testing.assert_array_equal(started.stats["state"].count, [*stats["state"].count, *[jnp.float32(1e-4)] * 2])
    learned, _ = jax.jit(lambda state: ppo.iteration(ENV, NETWORKS, CONFIG, state))(started)
    assert (np.abs(learned.params["actor"]["params"]["Dense_0"]["kernel"][2:]).max(1) > 0).all()
    with pytest.raises(ValueError, match=r"has \(4, 8\) at .*Dense_0.* where this training has \(2, 8\): give it"):
        training.start_from(half, Expert.of(NETWORKS, fresh.params, fresh.stats, env={}))
    # What a style or a history put last has no place in the middle.
    styled = Expert.of(NETWORKS, bent, stats, env={"style": {"shown": True}})
    with pytest.raises(ValueError, match=r"has \(2, 8\) at .* where this training has \(4, 8\): give it the widths"):
        training.start_from(fresh, styled)


def test_environments_that_do_not_divide_are_refused_before_anything_is_compiled():
    assert training.share(CONFIG, 4).num_envs == 2
    with pytest.raises(ValueError, match="8 environments do not divide among 3 devices: make ppo.num_envs a multiple "):
        training.on(jax.devices() * 3, None, None, CONFIG, 0)
    with pytest.raises(ValueError, match="1 environments x 4 steps do not divide into 8 minibatches"):
        training.share(ppo.PPOConfig(num_envs=8, unroll_length=4, minibatches=8), 8)
