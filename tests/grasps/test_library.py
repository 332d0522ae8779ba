import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dexgen_jax.grasps import library
from dexgen_jax.grasps.library import GraphConfig, ObjectGrasps


def _random_grasps(name="cube_55", count=40, seed=0, joints=5):
    rng = np.random.default_rng(seed)
    quat = rng.standard_normal((count, 4))
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    pose = np.concatenate([0.02 * rng.standard_normal((count, 3)), quat], axis=1).astype(np.float32)
    q = rng.uniform(0, 1, (count, joints)).astype(np.float32)
    return ObjectGrasps("allegro", name, q, q + np.float32(0.1), pose, {"seed": seed, "batches": 3})


def test_what_is_read_is_what_was_written(tmp_path):
    grasps = _random_grasps()
    path = library.save(tmp_path / "deep" / "folder", grasps)
    assert path.name == "cube_55.npz"
    back = library.load(path.parent, "cube_55", "allegro")
    for name in ("q", "target", "object_pose"):
        np.testing.assert_array_equal(getattr(back, name), getattr(grasps, name))
    assert (back.made, back.hand_name, back.object_name) == (grasps.made, "allegro", "cube_55")
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
    arrays["q"][3, 1] += 1e-3
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
    with pytest.raises(ValueError, match="format version 1, this code reads 2: delete it and grow"):
        library.load(tmp_path, "sphere_64", "allegro")


def test_neighbours_are_those_of_a_brute_force_search():
    config = GraphConfig(neighbours=5, min_angle=0.55)
    grasps = _random_grasps(count=60)
    graph = library.assemble([grasps], config)
    for row in range(60):
        # Angle between two quaternions: 2 acos |<a, b>|.
        dots = np.abs(grasps.object_pose[:, 3:].astype(float) @ grasps.object_pose[row, 3:].astype(float))
        angle = 2 * np.arccos(np.minimum(dots, 1))
        shift = np.linalg.norm(grasps.object_pose[:, :3] - grasps.object_pose[row, :3], axis=1)
        joints = np.sqrt(np.mean((grasps.q - grasps.q[row]) ** 2, axis=1))
        far = shift / 0.02 + angle / 0.4 + joints / 0.3
        far[angle < 0.55] = np.inf
        assert np.asarray(graph.neighbours[row]).tolist() == np.argsort(far)[:5].tolist()


def test_distance_by_hand():
    # 3 cm apart (1.5 units), a quarter turn (1.5708 / 0.4 = 3.927), joints 0.3 rad apart each (1 unit).
    here, there = jnp.array([0.0, 0, 0, 1, 0, 0, 0]), jnp.array([0.03, 0, 0, 0.70710678, 0, 0, 0.70710678])
    far, angle = library.distance(jnp.zeros(5), here, jnp.full(5, 0.3), there, GraphConfig())
    np.testing.assert_allclose([far, angle], [1.5 + 3.92699 + 1.0, np.pi / 2], rtol=1e-5)


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
    with pytest.raises(ValueError, match=f"'cube_55' has {count} grasps, too few for 6 goals at least 0.55 rad away"):
        library.assemble([_random_grasps(count=count)], GraphConfig(neighbours=6))


def test_grasps_all_alike_have_no_goals():
    grasps = _random_grasps(count=30)
    grasps.object_pose[:, 3:] = [1, 0, 0, 0]
    with pytest.raises(ValueError, match="has 30 grasps, too few"):
        library.assemble([grasps], GraphConfig(neighbours=6))
