import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import sample, settle
from dexgen_jax.physics import world as worlds

CONFIG = settle.SettleConfig()


@pytest.fixture(scope="module")
def tried(engine):
    """The verdicts on some sampled candidates of the sphere, and on two that cannot hold."""
    keys = jax.random.split(jax.random.PRNGKey(5), 12)
    candidates = jax.vmap(sample.cupped, (0, None))(keys, engine.hand)
    n = engine.hand.num_joints
    out_of_reach = candidates[0].at[n].set(0.3)
    blown_up = candidates[0].at[n].set(jnp.nan)
    candidates = jnp.concatenate([candidates, out_of_reach[None], blown_up[None]])
    world = worlds.nominal(engine.object(jnp.asarray(1)))
    judge = jax.jit(jax.vmap(lambda k, c: settle.settle(k, engine, world, c, CONFIG)))
    return jax.device_get(judge(jax.random.split(keys[0], len(candidates)), candidates))


def test_some_grasps_hold_and_an_object_out_of_reach_does_not(tried):
    assert 2 <= tried.accepted[:12].sum() <= 10
    assert not tried.accepted[12]
    # Free fall for 0.5 s is 1.2 m; the nearest parts of the hand are far away.
    np.testing.assert_allclose(tried.shift[12], 0.5 * 9.81 * 0.5**2, rtol=0.05)
    assert tried.depth[12] < -0.1


def test_a_candidate_that_blows_up_is_rejected(tried):
    assert not tried.accepted[13]
    assert tried.accepted[:12].any()  # and it did not take the others with it


def test_what_is_accepted_keeps_every_promise(tried):
    good = tried.accepted
    assert (tried.shift[good] < CONFIG.max_shift).all() and (tried.turn[good] < CONFIG.max_turn).all()
    assert (tried.parts[good] >= CONFIG.min_parts).all() and (tried.depth[good] < CONFIG.max_depth).all()
    assert (np.abs(tried.target - tried.q)[good] <= CONFIG.squeeze + 0.3).all()


def test_a_stored_grasp_still_holds_when_it_is_simulated_anew(engine, grasps):
    n, some = engine.hand.num_joints, 10
    for index, found in enumerate(grasps):
        qpos = jnp.concatenate([found.q[:some], found.object_pose[:some]], axis=1)
        world = worlds.nominal(engine.object(jnp.asarray(index)))  # palm up
        world = jax.tree.map(lambda x: jnp.broadcast_to(x, (some, *x.shape)), world)
        state, target = jax.vmap(engine.init)(qpos), jnp.asarray(found.target[:some])
        for _ in range(5):
            state = jax.vmap(engine.step)(state, target, world)
        moved = jnp.linalg.norm(state.qpos[:, n : n + 3] - qpos[:, n : n + 3], axis=1)
        assert float(moved.max()) < CONFIG.max_shift


def test_samples_are_near_the_hands_prior(engine):
    hand = engine.hand
    drawn = jax.vmap(sample.cupped, (0, None))(jax.random.split(jax.random.PRNGKey(0), 4000), hand)
    q, position, quat = jnp.split(drawn, [hand.num_joints, hand.num_joints + 3], axis=1)
    assert (q >= hand.lower[None]).all() and (q <= hand.upper[None]).all()
    np.testing.assert_allclose(position.mean(0), hand.prior.object_position, atol=0.002)
    np.testing.assert_allclose(position.std(0), hand.prior.object_spread, rtol=0.05)
    np.testing.assert_allclose(quat.T @ quat / 4000, np.eye(4) / 4, atol=0.02)  # any rotation
