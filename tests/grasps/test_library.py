import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import library, metric
from dexgen_jax.grasps.library import GraphConfig, ObjectGrasps


def _random_grasps(name="cube_55", count=40, seed=0, joints=5):
    rng = np.random.default_rng(seed)
    quat = rng.standard_normal((count, 4))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    pose = np.concatenate([0.02 * rng.standard_normal((count, 3)), quat], axis=1).astype(np.float32)
    q = (rng.integers(0, 10_000, (count, joints)) * 1e-4).astype(np.float32)  # in the steps that a file holds
    target, touches = (q + 0.1).astype(np.float32), rng.random((count, 7)) < 0.3
    source = rng.integers(0, 3, count).astype(np.uint8)
    return ObjectGrasps("allegro", name, q, target, pose, touches, source, {"seed": seed, "batches": 3}).rounded()


def test_what_is_read_is_what_was_written(tmp_path):
    grasps = _random_grasps()
    path = library.save(tmp_path / "deep" / "folder", grasps)
    assert path.name == "cube_55.npz"
    back = library.load(path.parent, "cube_55", "allegro")
    for name in ("q", "target", "object_pose", "touches", "source"):
        np.testing.assert_array_equal(getattr(back, name), getattr(grasps, name))
    assert (back.provenance, back.hand_name, back.object_name) == (grasps.provenance, "allegro", "cube_55")
    assert [p.name for p in path.parent.iterdir()] == ["cube_55.npz"]  # nothing left over from writing


def test_a_missing_file_names_what_is_there_and_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="no grasps of 'cube_55' in .*found: none.*grow_grasps.py"):
        library.load(tmp_path, "cube_55", "allegro")
    library.save(tmp_path, _random_grasps("sphere_64"))
    with pytest.raises(FileNotFoundError, match=r"found: sphere_64\)"):
        library.load(tmp_path, "cube_55", "allegro")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_named_as_damaged(tmp_path, share):
    path = library.save(tmp_path, _random_grasps())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="cube_55.npz is damaged .*delete it and grow"):
        library.load(tmp_path, "cube_55", "allegro")


def test_a_changed_number_is_noticed(tmp_path):
    path = library.save(tmp_path, _random_grasps())
    with np.load(path) as data:
        arrays = dict(data)
    arrays["q"][3, 1] += 1
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="content hash differs"):
        library.load(tmp_path, "cube_55", "allegro")


def test_a_file_of_another_hand_object_or_format_is_refused(tmp_path):
    path = library.save(tmp_path, _random_grasps())
    with pytest.raises(ValueError, match="for hand 'allegro' and object 'cube_55', asked for 'shadow' and 'cube_55'"):
        library.load(tmp_path, "cube_55", "shadow")
    path.rename(tmp_path / "sphere_64.npz")
    with pytest.raises(ValueError, match="asked for 'allegro' and 'sphere_64'"):
        library.load(tmp_path, "sphere_64", "allegro")
    with np.load(tmp_path / "sphere_64.npz") as data:
        arrays = dict(data)
    meta = json.loads(str(arrays["meta"])) | {"version": 1}
    np.savez(tmp_path / "sphere_64.npz", **(arrays | {"meta": json.dumps(meta)}))
    with pytest.raises(ValueError, match="format version 1, this code reads 3: delete it and grow"):
        library.load(tmp_path, "sphere_64", "allegro")


def test_goals_are_of_the_same_object_and_outside_the_tolerance():
    objects = [_random_grasps("cube_55", 30, 0), _random_grasps("sphere_64", 50, 1)]
    graph = library.assemble(objects, GraphConfig(neighbours=6))
    assert len(graph) == 80 and graph.neighbours.shape == (80, 6)
    keys = jax.random.split(jax.random.PRNGKey(0), 500)
    rows = jax.vmap(graph.draw_start)(keys)
    goals = jax.vmap(graph.draw_goal)(keys, rows)
    np.testing.assert_array_equal(graph.object_index[goals], graph.object_index[rows])
    angle = 2 * np.arccos(np.abs(np.sum(graph.object_pose[goals, 3:] * graph.object_pose[rows, 3:], axis=1)))
    assert angle.min() >= 0.55 - 1e-3
    assert set(np.unique(rows)) == set(range(80))  # every grasp is a start
    np.testing.assert_allclose(graph.centre, graph.object_pose[:, :3].mean(0), atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_too_few_grasps_are_named_with_the_way_out(count):
    with pytest.raises(ValueError, match=f"'cube_55' has {count} grasps, .*: too few for 6 goals at least 0.55 rad"):
        library.assemble([_random_grasps(count=count)], GraphConfig(neighbours=6))


def test_grasps_all_alike_have_no_goals():
    grasps = _random_grasps(count=30)
    grasps.object_pose[:, 3:] = [1, 0, 0, 0]
    with pytest.raises(ValueError, match="has 30 grasps, 1 of them in its graph: too few"):
        library.assemble([grasps], GraphConfig(neighbours=6))


def test_every_goal_of_a_grasp_is_drawn_and_nothing_else():
    graph = library.assemble([_random_grasps(count=80)], GraphConfig(neighbours=10, radius=8.0))
    draw = jax.jit(lambda keys, row: jax.vmap(lambda key: graph.draw_goal(key, row))(keys))
    fewest, most = (int(f(np.isfinite(graph.distance).sum(1))) for f in (np.argmin, np.argmax))
    for row in (fewest, most):
        there = np.isfinite(np.asarray(graph.distance[row]))
        drawn = np.asarray(draw(jax.random.split(jax.random.PRNGKey(0), 400), jnp.asarray(row)))
        assert set(drawn.tolist()) == set(np.asarray(graph.neighbours[row])[there].tolist())


def test_what_lies_apart_is_left_out_of_the_library():
    objects = [_random_grasps("cube_55", 30, 0), _random_grasps("sphere_64", 40, 1)]
    objects[1].object_pose[7, :3] += 5.0
    graph = library.assemble(objects, GraphConfig(neighbours=6, radius=12.0))
    assert len(graph) == 69
    assert float(jnp.abs(graph.object_pose[:, :3]).max()) < 1
    far, _ = metric.distance(graph.q[60], graph.object_pose[60], graph.q[graph.neighbours[60, 2]],
                             graph.object_pose[graph.neighbours[60, 2]], metric.Metric())  # fmt: skip
    np.testing.assert_allclose(graph.distance[60, 2], far, atol=5e-3)  # numbers are those of what was kept


def test_joints_are_stored_in_steps_and_poses_as_they_are():
    grasps = _random_grasps(count=20)
    odd = dataclasses.replace(grasps, q=grasps.q + np.float32(3.3e-5))
    np.testing.assert_allclose(odd.rounded().q, grasps.q, atol=1e-7)
    np.testing.assert_array_equal(odd.rounded().object_pose, grasps.object_pose)


@pytest.mark.parametrize("value", [3.3, -4.0, np.nan])
def test_joints_that_do_not_fit_the_file_are_named(tmp_path, value):
    grasps = _random_grasps()
    grasps.target[2, 0] = value
    words = f"target of 'cube_55' is {value:g} rad in row 2, joint 0: .* within .-3.2767 rad, so give the hand narrower"
    with pytest.raises(ValueError, match=words):
        library.save(tmp_path, grasps)


def test_a_library_of_2000_grasps_is_small_enough_to_ship_43(tmp_path):
    grasps = _random_grasps(count=2000, joints=16)
    assert library.save(tmp_path, grasps).stat().st_size < 12e6 / 43


def test_join_refuses_another_object_or_hand_by_name():
    cube, ball = _random_grasps("cube_55"), _random_grasps("sphere_64")
    with pytest.raises(ValueError, match="'cube_55' in hand 'allegro' and of 'sphere_64' in 'allegro' cannot be one"):
        library.join(cube, ball, {})
    with pytest.raises(ValueError, match="of 'cube_55' in 'shadow' cannot be one"):
        library.join(cube, dataclasses.replace(cube, hand_name="shadow"), {})


def test_shipped_grasps_are_asked_for_by_that_word(tmp_path, monkeypatch):
    monkeypatch.setattr(library.pretrained, "ROOT", tmp_path)
    library.save(tmp_path / "grasps", _random_grasps())
    assert len(library.load("shipped", "cube_55", "allegro")) == 40
