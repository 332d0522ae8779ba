import jax
import numpy as np
import pytest
from flax import struct

from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog, shapes
from dexgen_jax.physics import scene as scenes
from dexgen_jax.viz import film

HAND = allegro.load()
OBJECTS = [catalog.load("cube_55"), catalog.load("sphere_64")]
SLOTS = shapes.layout(OBJECTS, static_kinds=False)
SCENE = scenes.build(HAND, SLOTS)
LOOK = film.FilmConfig(width=64, height=48, seconds=0.6)


@struct.dataclass
class Trace:
    q: np.ndarray
    object_pose: np.ndarray
    goal_pose: np.ndarray
    gravity: np.ndarray
    object: shapes.ObjectParams
    drops: np.ndarray
    goals: np.ndarray


def _trace(objects: list[int], steps: int = 8) -> Trace:
    """A hand at rest; environment e holds object `objects[e]`."""
    prior, envs = HAND.prior, len(objects)
    pose = np.concatenate([prior.object_position, [1, 0, 0, 0]])
    stacked = jax.tree.map(np.asarray, shapes.stack(OBJECTS, SLOTS, static_kinds=False))
    held = jax.tree.map(lambda x: np.broadcast_to(x[np.array(objects)], (steps, envs, *x.shape[1:])).copy(), stacked)
    many = lambda x: np.broadcast_to(x, (steps, envs, np.size(x))).copy()
    nothing = np.zeros((steps, envs), bool)
    return Trace(many(prior.joint_mean), many(pose), many(pose), many([-9.81, 0, 0]), held, nothing, nothing.copy())


def test_the_films_stand_side_by_side_for_as_long_as_asked():
    frames = film.compare(SCENE, {"alone": _trace([0]), "helped": _trace([1])}, 0, LOOK)
    assert len(frames) == 6 and frames.shape[2] == 64 + 6 + 64
    # Alike but for the object: a cube at the left, a sphere at the right.
    difference = np.abs(frames[0, 12:, :64].astype(int) - frames[0, 12:, 70:].astype(int)).max(-1)
    assert 20 < (difference > 25).sum() < 1200


def test_a_drop_is_shown_from_the_next_frame_on():
    trace = _trace([0])
    trace.drops[2, 0] = True
    frames = film.compare(SCENE, {"alone": trace}, 0, LOOK)
    edge = frames[:, -1, :, :].astype(int)  # the last line of the picture is the red frame's
    red = (edge[..., 0] - edge[..., 2] > 80).mean(1) > 0.9
    np.testing.assert_array_equal(red, [False, False, False, True, True, True])


def test_a_film_of_a_few_frames_without_a_drop_has_no_alarm():
    frames = film.compare(SCENE, {"alone": _trace([0], steps=3)}, 0, LOOK)
    edge = frames[:, -1, :, :].astype(int)
    assert len(frames) == 3 and not (edge[..., 0] - edge[..., 2] > 80).any()


def test_another_object_after_a_drop_is_drawn():
    trace = _trace([0])
    after = _trace([1])
    changing = jax.tree.map(lambda a, b: np.concatenate([a[:3], b[3:]]), trace.object, after.object)
    frames = film.compare(SCENE, {"alone": trace.replace(object=changing)}, 0, LOOK)
    np.testing.assert_array_equal(frames[0, 12:, :, 2], frames[2, 12:, :, 2])
    assert (np.abs(frames[2, 12:].astype(int) - frames[3, 12:].astype(int)).max(-1) > 25).sum() > 20


@pytest.mark.parametrize(("drops", "chosen"), [([5, 0, 3, 1], 2), ([0, 0, 0], 0), ([9, 1, 2], 2)])
def test_the_typical_environment_has_about_the_mean_number_of_drops(drops, chosen):
    trace = _trace([0] * len(drops), steps=10)
    for environment, count in enumerate(drops):
        trace.drops[:count, environment] = True
    assert film.typical(trace) == chosen
