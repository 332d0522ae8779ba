"""Where the best return is known, PPO comes within 2% of it."""

import jax
import jax.numpy as jnp
import numpy as np
from toy_env import Point

from dexgen_jax.experts import ppo
from dexgen_jax.experts.networks import ActorCritic, NetworkConfig

ENV = Point()
CONFIG = ppo.PPOConfig(num_envs=128, unroll_length=8, epochs=4, minibatches=4, learning_rate=2e-3, reward_scale=1.0)
NETWORKS = ActorCritic(NetworkConfig(actor=(32, 32), critic=(32, 32), log_std=(-0.7, -4.0, 0.0)), ENV.action_size)


@jax.jit
def returns(state):
    """What the mean policy earns from 200 places, and the most that can be earned."""
    places = jnp.linspace(-1, 1, 200)
    began = jax.vmap(ENV.reset)(jax.random.split(jax.random.PRNGKey(0), 200))
    began = began.replace(pipeline_state=places[:, None], obs=began.obs | {"state": places[:, None]})

    def step(now, _):
        then = jax.vmap(ENV.step)(now, NETWORKS.policy(state.params, state.stats, now.obs).mean)
        return then, then.reward

    _, rewards = jax.lax.scan(step, began, None, length=ENV.episode_steps)
    return rewards.sum(0), jax.vmap(ENV.best)(places)


def test_the_best_return_by_hand():
    # From 0.5 in steps of 0.2: 0.3, 0.1, 0.
    np.testing.assert_allclose(ENV.best(jnp.float32(-0.5)), -(0.09 + 0.01), rtol=1e-5)


def test_a_point_learns_to_reach_within_two_percent_of_the_best_return():
    state = jax.jit(lambda key: ppo.init(ENV, NETWORKS, CONFIG, key, ENV.episode_steps))(jax.random.PRNGKey(0))
    some = jax.jit(lambda s: jax.lax.scan(lambda s, _: ppo.iteration(ENV, NETWORKS, CONFIG, s), s, None, length=150)[0])
    before, best = (float(x.mean()) for x in returns(state))
    learned = float(returns(some(state))[0].mean())
    assert before < 1.5 * best  # a new policy hardly moves
    assert 1.02 * best <= learned <= best
