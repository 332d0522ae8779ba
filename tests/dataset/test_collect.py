import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_env import FakeEnv

from dexgen_jax.dataset import collect, store, windows

QUIET = collect.BehaviourConfig(noise=(0.0,), gain=(1.0,))


def _push(obs, key):
    """Every joint goes on by 0.5 action units."""
    return 0.5 * jnp.ones_like(obs["state"])


def _record(env, behaviour, streams=6, rows=40, policy=_push, seed=0):
    run = jax.jit(lambda key: collect.record(env, policy, behaviour, key, streams, rows))
    return jax.tree.map(np.asarray, run(jax.random.PRNGKey(seed)))


def test_a_row_holds_what_was_read_before_its_action():
    rows = _record(FakeEnv(reach=0.3), QUIET)
    first = {name: value[:5] for name, value in rows.items()}  # the first episode, see the next test
    # 0.5 of the scale 0.15 rad: each target is 0.075 above the one before, and the fake joints trail by 0.01.
    np.testing.assert_allclose(np.diff(first["target"], axis=0), 0.075, atol=1e-5)
    np.testing.assert_allclose(first["q"][1:], first["target"][1:] - 0.01, atol=1e-5)
    assert (first["flags"][0] & store.FIRST).all() and not (first["flags"][1:] & store.FIRST).any()


def test_the_row_after_a_drop_is_the_first_of_a_fresh_grasp():
    rows = _record(FakeEnv(reach=0.3), QUIET)
    drop, first = (rows["flags"] & store.DROP > 0), (rows["flags"] & store.FIRST > 0)
    # 0.3 rad / 0.075 rad per step: after the 5th action |q - start| = 0.375 - 0.01 > 0.3; so rows 4, 9, 14, ...
    np.testing.assert_array_equal(np.flatnonzero(drop[:, 0]), np.arange(4, 40, 5))
    np.testing.assert_array_equal(first[1:], drop[:-1])
    starts = rows["q"][first[:, 0], 0]
    assert len(np.unique(starts.round(5), axis=0)) == len(starts)  # another grasp each time


def test_the_time_limit_is_not_a_drop_and_success_is_marked():
    flags = _record(FakeEnv(reach=100.0, episode_steps=10, goal_steps=4), QUIET)["flags"]
    late = np.flatnonzero(flags[:, 0] & store.TRUNCATED)
    assert len(late) >= 3 and (np.diff(late) == 10).all() and not (flags & store.DROP).any()
    # Goals fall due at ages 4 and 8: at the 4th and 8th action after the row at which an episode began.
    wins = np.flatnonzero(flags[late[0] + 1 : late[1] + 1, 0] & store.SUCCESS)
    np.testing.assert_array_equal(wins, [3, 7])


def test_streams_differ_by_noise_and_gain_and_disturbed_rows_are_marked():
    behaviour = collect.BehaviourConfig(noise=(0.0, 0.3), gain=(1.0, 1.0, 0.2), noise_share=0.25)
    rows = _record(FakeEnv(reach=100.0), behaviour, streams=6, rows=400)
    marked = rows["flags"] & store.PERTURBED > 0
    assert not marked[:, [0, 2, 4]].any()
    np.testing.assert_allclose(marked[:, [1, 3, 5]].mean(), 0.25, atol=0.04)  # 1,200 draws: 3 standard deviations
    # Where nothing disturbs, the target moves by exactly gain * 0.5 * 0.15 rad.
    moves = np.diff(rows["target"], axis=0)
    for stream, gain in enumerate([1.0, 1.0, 0.2, 1.0, 1.0, 0.2]):
        calm = ~marked[:-1, stream]
        np.testing.assert_allclose(moves[calm, stream], gain * 0.075, atol=2e-5)
    np.testing.assert_allclose(moves[:, 1][marked[:-1, 1]].std(), 0.3 * 0.15, rtol=0.1)


def test_windows_learn_the_recovery_and_not_the_disturbance():
    flags = np.zeros((1, 12), np.uint8)
    flags[0, 5] = store.PERTURBED
    rows = windows.valid_index(flags, history=3, horizon=2, drop_rows=5).tolist()
    # Rows 2 .. 9 have 3 rows behind and 2 ahead; the motions from rows 4 and 5 pass through the action of row 5.
    assert rows == [2, 3, 6, 7, 8, 9]


def test_the_same_key_records_the_same_and_another_key_another():
    behaviour = collect.BehaviourConfig()
    first, same, other = (_record(FakeEnv(), behaviour, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first["q"], same["q"])
    assert np.abs(first["q"] - other["q"]).max() > 0.01


def test_columns_are_what_the_store_writes(tmp_path):
    env = FakeEnv()
    rows = _record(env, collect.BehaviourConfig())
    columns = collect.to_columns(rows)
    np.testing.assert_allclose(store.RESOLUTION * columns["q"], rows["q"].swapaxes(0, 1), atol=0.6e-4)
    store.create(tmp_path, env.hand, store.Layout(1, 6, 40), {}).write(0, columns)
    assert set(np.unique(columns["privileged/object_index"])) <= {0, 1}


def test_a_joint_beyond_the_stored_range_is_an_error():
    rows = _record(FakeEnv(reach=0.3), QUIET)
    rows |= {"q": np.where(np.arange(16) == 1, 4.5, rows["q"])}
    with pytest.raises(ValueError, match=r"joint value 4\.5 rad does not fit"):
        collect.to_columns(rows)
