import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from dexgen_jax.grasps import overlap, sample, settle
from dexgen_jax.objects import catalog
from dexgen_jax.physics import world as worlds

CONFIG = settle.SettleConfig()
COUNT = 12  # sampled candidates; after them one out of reach, one that blows up, and one that is not to be tried


@pytest.fixture(scope="module")
def judge(engine):
    """`judge(candidates, tried)`: the verdicts on candidates of the sphere."""
    world = worlds.nominal(engine.object(jnp.asarray(1)))
    program = jax.jit(lambda candidates, tried: settle.settle(engine, world, candidates, tried, CONFIG))
    return lambda candidates, tried: jax.device_get(program(candidates, tried))


@pytest.fixture(scope="module")
def candidates(engine):
    keys = jax.random.split(jax.random.PRNGKey(5), COUNT)
    drawn = jax.vmap(sample.cup, (0, None))(keys, engine.hand)
    n = engine.hand.num_joints
    first = jax.tree.map(lambda x: x[0], drawn)
    out_of_reach = first.replace(qpos=first.qpos.at[n].set(0.3))
    blown_up = first.replace(qpos=first.qpos.at[n].set(jnp.nan))
    return jax.tree.map(
        lambda x, *more: jnp.concatenate([x, *(y[None] for y in more)]), drawn, out_of_reach, blown_up, first
    )


@pytest.fixture(scope="module")
def tried(judge, candidates):
    return judge(candidates, jnp.arange(COUNT + 3) < COUNT + 2)


def test_some_grasps_hold_and_an_object_out_of_reach_does_not(tried):
    assert 2 <= tried.accepted[:COUNT].sum() <= 10
    assert tried.passed[COUNT] == 0 and not tried.touches[COUNT].any()
    assert tried.depth[COUNT] < -0.1


def test_a_candidate_that_blows_up_is_rejected(tried):
    assert tried.passed[COUNT + 1] == 0
    assert tried.accepted[:COUNT].any()  # and it did not take the others with it


def test_what_is_not_to_be_tried_passes_nothing(tried, judge, candidates):
    assert tried.passed[COUNT + 2] == 0 and np.isinf(tried.shift[COUNT + 2]).all()
    assert not judge(candidates, jnp.zeros(COUNT + 3, bool)).passed.any()


def test_verdicts_do_not_depend_on_the_place_in_the_batch(tried, judge, candidates):
    order = np.random.default_rng(0).permutation(COUNT + 3)
    shuffled = judge(jax.tree.map(lambda x: x[order], candidates), jnp.asarray(order < COUNT + 2))
    np.testing.assert_array_equal(shuffled.passed, tried.passed[order])
    good = shuffled.accepted
    np.testing.assert_allclose(shuffled.q[good], tried.q[order][good], atol=1e-5)
    np.testing.assert_allclose(shuffled.shift[good], tried.shift[order][good], atol=1e-5)


def test_what_is_accepted_keeps_every_promise(engine, tried):
    good = tried.accepted
    assert (tried.shift[good] < [CONFIG.shake_shift, CONFIG.hold_shift]).all()
    assert (tried.turn[good] < [CONFIG.shake_turn, CONFIG.hold_turn]).all()
    assert (tried.depth[good] < CONFIG.max_depth).all()
    assert (np.abs(tried.target - tried.q)[good] <= CONFIG.squeeze + 0.3).all()
    parts = jax.vmap(lambda touches: overlap.count_parts(engine.hand, touches))(tried.touches)
    assert (parts[good] >= CONFIG.min_parts).all()


def test_a_stage_is_only_tried_by_what_passed_the_one_before(tried):
    assert (np.isfinite(tried.shift[:, 0]) == (tried.passed >= 1)).all()
    assert (np.isfinite(tried.shift[:, 1]) == (tried.passed >= 2)).all()
    slipped = (tried.shift[:, 0] >= CONFIG.shake_shift) | (tried.turn[:, 0] >= CONFIG.shake_turn)
    assert (tried.passed[slipped] <= 1).all()


@struct.dataclass
class Creeping:
    """An object that gives way toward -z alone, 0.1 mm a step for each m/s^2, as far as friction leaves it."""

    z: jax.Array

    def object_pose(self, hand):
        return jnp.zeros(7).at[2].set(self.z).at[3].set(1.0)


def _creep(state, target, world):
    return Creeping(state.z + 1e-4 * jnp.minimum(world.gravity[2], 0.0) * (1 - world.object_friction))


@pytest.mark.parametrize("trial, steps, friction", [(settle._shake, 2, 0.5), (settle._hold, 4, 0.85)])
def test_gravity_pulls_with_its_full_strength_from_all_six_sides(trial, steps, friction):
    engine, world = types.SimpleNamespace(hand=None, step=_creep), worlds.nominal(catalog.load("sphere_64"))
    put_to_it = jax.jit(lambda z: trial(engine, world, Creeping(z), jnp.zeros(16), CONFIG))
    (shift, turn), good = put_to_it(0.0)
    np.testing.assert_allclose(shift, steps * 1e-4 * 9.81 * (1 - friction), rtol=1e-5)
    assert good and turn < 1e-3


def test_a_stored_grasp_still_holds_when_it_is_simulated_anew(engine, grasps):
    n, some = engine.hand.num_joints, 10
    for index, found in enumerate(grasps):
        qpos = jnp.concatenate([found.q[:some], found.object_pose[:some]], axis=1)
        world = worlds.nominal(engine.object(jnp.asarray(index)))  # palm up
        world = jax.tree.map(lambda x: jnp.broadcast_to(x, (some, *x.shape)), world)
        state, target = jax.vmap(engine.init)(qpos), jnp.asarray(found.target[:some])
        step = jax.jit(jax.vmap(engine.step))
        for _ in range(5):
            state = step(state, target, world)
        moved = jnp.linalg.norm(state.qpos[:, n : n + 3] - qpos[:, n : n + 3], axis=1)
        assert float(moved.max()) < CONFIG.hold_shift


def test_samples_are_near_the_hands_prior(engine):
    hand = engine.hand
    drawn = jax.vmap(sample.cupped, (0, None))(jax.random.split(jax.random.PRNGKey(0), 4000), hand)
    q, position, quat = jnp.split(drawn, [hand.num_joints, hand.num_joints + 3], axis=1)
    assert (q >= hand.lower[None]).all() and (q <= hand.upper[None]).all()
    np.testing.assert_allclose(position.mean(0), hand.prior.object_position, atol=0.002)
    np.testing.assert_allclose(position.std(0), hand.prior.object_spread, rtol=0.05)
    np.testing.assert_allclose(quat.T @ quat / 4000, np.eye(4) / 4, atol=0.02)  # any rotation
