import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.controller import controller
from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model
from dexgen_jax.hand import allegro, kinematics

HAND = allegro.load()
MIDDLE = ((HAND.lower + HAND.upper) / 2).astype(np.float32)
COMMAND = np.full((8, 3), 0.01, np.float32)


@pytest.fixture(scope="module")
def act(tiny):
    return jax.jit(functools.partial(controller.act, tiny))


def _call(act, tiny, untrained, q=MIDDLE, target=MIDDLE, command=COMMAND, alpha=0.0, seed=0):
    state = controller.reset(tiny, jnp.asarray(q), jnp.asarray(target))
    return act(untrained, state, q, target, command, np.int32(0), np.float32(alpha), jax.random.PRNGKey(seed))


def test_the_history_begins_full_and_forgets_the_oldest(tiny):
    state = controller.reset(tiny, MIDDLE, MIDDLE + 0.1)
    np.testing.assert_array_equal(state.q, np.tile(MIDDLE, (4, 1)))
    state = state.push(MIDDLE + 1, MIDDLE + 2)
    np.testing.assert_array_equal(state.q[-2:], np.stack([MIDDLE, MIDDLE + 1]))
    np.testing.assert_array_equal(state.target[-2:], np.stack([MIDDLE + np.float32(0.1), MIDDLE + 2]))


def test_targets_stay_within_the_joint_limits(act, tiny, untrained):
    wild = untrained.replace(normalizer=untrained.normalizer.replace(action_mean=jnp.full(16, 9.0)))
    action, *_ = _call(act, tiny, wild)
    np.testing.assert_allclose(action, HAND.upper, rtol=1e-6)


def test_alpha_zero_does_not_see_the_command(act, tiny, untrained):
    first, _, told = _call(act, tiny, untrained)
    other, _, asked = _call(act, tiny, untrained, command=-5 * COMMAND)
    np.testing.assert_array_equal(first, other)
    np.testing.assert_array_equal(told.motion, asked.motion)
    assert told.distance != asked.distance


def test_the_stronger_the_guidance_the_nearer_to_the_command(act, tiny, untrained):
    apart = [_call(act, tiny, untrained, alpha=alpha)[2].distance for alpha in (0, 1e3, 1e4, 1e5, 1e9)]
    assert (np.diff(apart) < 0).all() and apart[-1] < 1e-5


def test_the_distance_is_in_metres(act, tiny, untrained):
    *_, diagnostics = _call(act, tiny, untrained)
    apart = np.linalg.norm(np.asarray(diagnostics.motion) - COMMAND[None], axis=-1)
    np.testing.assert_allclose(diagnostics.distance, np.sqrt((apart**2).mean()), rtol=1e-5)


def test_a_batch_is_many_single_hands(act, tiny, untrained):
    q = MIDDLE + 0.1 * np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)
    keys = jax.random.split(jax.random.PRNGKey(5), 3)
    state = jax.vmap(functools.partial(controller.reset, tiny))(q, q)
    command, alpha = np.tile(COMMAND, (3, 1, 1)), np.float32([0, 100, 1e5])
    many = jax.jit(jax.vmap(functools.partial(controller.act, tiny), (None, 0, 0, 0, 0, None, 0, 0)))
    batch = many(untrained, state, q, q, command, np.int32(0), alpha, keys)
    for i in range(3):
        single = act(
            untrained, jax.tree.map(lambda x, i=i: x[i], state), q[i], q[i], command[i], np.int32(0), alpha[i], keys[i]
        )
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-4), batch, single)


def test_a_joint_command_is_the_way_of_its_keypoints():
    asked = MIDDLE + 0.2
    offsets = controller.command_offsets(HAND, jnp.asarray(MIDDLE), jnp.asarray(asked))
    expected = kinematics.keypoints(HAND, jnp.asarray(asked)) - kinematics.keypoints(HAND, jnp.asarray(MIDDLE))
    np.testing.assert_allclose(offsets, expected, atol=1e-7)
    np.testing.assert_array_equal(controller.command_offsets(HAND, jnp.asarray(MIDDLE), jnp.asarray(MIDDLE)), 0)


def test_a_saved_controller_acts_the_same(tiny, untrained, tmp_path):
    first = Controller(tiny, untrained, seed=3)
    first.save(tmp_path / "controller", {"dataset": "none"})
    second = Controller.from_pretrained(tmp_path / "controller", seed=3)
    assert second.model == tiny
    for each in (first, second):
        each.reset(MIDDLE)
    for alpha in (0.0, 500.0):
        actions = [each.act(MIDDLE, MIDDLE, COMMAND, alpha=alpha)[0] for each in (first, second)]
        np.testing.assert_array_equal(*actions)


def test_without_a_command_the_prior_moves_the_hand(tiny, untrained):
    robot = Controller(tiny, untrained, seed=3)
    robot.reset(MIDDLE)
    free, _ = robot.act(MIDDLE, MIDDLE)
    robot = Controller(tiny, untrained, seed=3)
    robot.reset(MIDDLE)
    np.testing.assert_array_equal(free, robot.act(MIDDLE, MIDDLE, COMMAND, alpha=0.0)[0])


def test_errors_name_what_exists(tiny, untrained, tmp_path):
    robot = Controller(tiny, untrained)
    with pytest.raises(RuntimeError, match=r"call reset\(q\)"):
        robot.act(MIDDLE, MIDDLE)
    robot.reset(MIDDLE)
    with pytest.raises(ValueError, match="unknown mode 'spin'; .* default, precision_rotation, free_motion"):
        robot.act(MIDDLE, MIDDLE, mode="spin")
    with pytest.raises(ValueError, match=r"\(8, 3\) keypoint offsets \[m\], got shape \(4, 3\)"):
        robot.act(MIDDLE, MIDDLE, COMMAND[:4])
    with pytest.raises(ValueError, match=r"16 joints, got shape \(12,\)"):
        robot.act(MIDDLE[:12], MIDDLE)
    with pytest.raises(ValueError, match="zero or more, got -1"):
        robot.act(MIDDLE, MIDDLE, COMMAND, alpha=-1)
    with pytest.raises(ValueError, match="unknown hand 'paw'; there is allegro"):
        Model(hand_name="paw")
    with pytest.raises(ValueError, match="unknown model fields .'colour'."):
        Model.from_dict({"colour": 3})
    with pytest.raises(FileNotFoundError, match="no trained weights"):
        Controller.from_pretrained(tmp_path / "nowhere")
