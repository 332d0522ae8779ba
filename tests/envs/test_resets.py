"""An environment that resets itself for ever starts somewhere else each time, on real physics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.experts import rollout

RESETS = 100


@pytest.mark.slow  # test_curriculum.py has a few
def test_a_hundred_resets_of_one_environment_are_a_hundred_starts(make_env):
    env = make_env({"episode_steps": 1})  # every step is the last of its episode

    def step(state, _):
        then, _ = rollout.auto_reset_step(env, state, jnp.zeros(env.action_size))
        return then, (then.info["q"], then.info["world"].mass, then.info["object_pose"])

    state = jax.jit(env.reset)(jax.random.PRNGKey(0))
    _, (q, mass, pose) = jax.jit(lambda s: jax.lax.scan(step, s, None, length=RESETS))(state)
    assert len(np.unique(q, axis=0)) == len(np.unique(mass)) == RESETS
    # Grasps are drawn with replacement from about a hundred.
    assert len(np.unique(pose, axis=0)) > RESETS / 3
