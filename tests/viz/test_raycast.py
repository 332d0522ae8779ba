import mujoco
import numpy as np
import pytest

from dexgen_jax.viz import raycast

CAMERA = raycast.Camera(eye=(1.0, 0.0, 0.0), target=(0.0, 0.0, 0.0), up=(0.0, 0.0, 1.0), field_of_view=60.0)


def _model(**slot) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    base = spec.worldbody.add_body(name="palm")
    base.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.05, 0, 0), pos=(0, 0, -0.3))
    thing = spec.worldbody.add_body(name="object")
    thing.add_freejoint()
    thing.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.1, 0, 0))
    thing.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.2, 0.2, 0.2), **slot)
    return spec.compile()


def _state(y=0.0, z=0.0) -> np.ndarray:
    return np.array([[0, y, z, 1, 0, 0, 0]], float)


def _is_orange(frame: np.ndarray) -> np.ndarray:
    red, blue = frame[..., 0].astype(int), frame[..., 2].astype(int)
    return red > blue + 40


def test_the_object_stands_where_a_pinhole_camera_sees_it():
    # Sphere of 0.1 m at 1 m: its rim is seen at asin(0.1); half the picture of 60 degrees is tan(30) = 0.577 at 1 m.
    # So its radius is 50 * tan(asin(0.1)) / 0.577 = 8.70 pixels, and its area pi * 8.70^2 = 238 pixels.
    frame = raycast.render(_model(margin=-10), _state(), 100, 100, CAMERA)[0]
    rows, columns = np.nonzero(_is_orange(frame))
    assert abs(rows.mean() - 49.5) < 0.6 and abs(columns.mean() - 49.5) < 0.6
    assert abs(len(rows) - 238) < 12


def test_up_is_up_and_the_picture_is_not_mirrored():
    # From +x with z up, +y is at the right hand side.
    frame = raycast.render(_model(margin=-10), _state(y=0.2, z=0.2), 100, 100, CAMERA)[0]
    rows, columns = np.nonzero(_is_orange(frame))
    assert rows.mean() < 45 and columns.mean() > 55


def test_a_slot_that_is_off_is_not_drawn():
    on = _is_orange(raycast.render(_model(), _state(), 60, 60, CAMERA)[0]).sum()
    off = _is_orange(raycast.render(_model(margin=-10), _state(), 60, 60, CAMERA)[0]).sum()
    assert on > 3 * off > 0


def test_the_goal_is_drawn_only_where_it_is():
    plain = raycast.render(_model(margin=-10), _state(), 60, 60, CAMERA)[0].astype(int)
    goal = _state(y=0.25)
    ghost = raycast.render(_model(margin=-10), _state(), 60, 60, CAMERA, goal=goal)[0].astype(int)
    changed = np.nonzero(np.abs(ghost - plain).max(-1) > 5)[1]
    assert len(changed) > 20 and changed.min() > 35


def test_frames_do_not_depend_on_their_company():
    states = np.concatenate([_state(y) for y in np.linspace(-0.2, 0.2, 11)])
    together = raycast.render(_model(margin=-10), states, 32, 24, CAMERA)
    alone = raycast.render(_model(margin=-10), states[9:10], 32, 24, CAMERA)
    np.testing.assert_array_equal(together[9:10], alone)


def test_each_frame_may_have_its_own_model():
    models = [_model(margin=-10), _model(), _model(margin=-10)]
    frames = raycast.render(models, np.repeat(_state(), 3, axis=0), 32, 32, CAMERA)
    np.testing.assert_array_equal(frames[0], frames[2])
    assert _is_orange(frames[1]).sum() > 2 * _is_orange(frames[0]).sum()


def test_a_point_in_the_shadow_is_darker():
    # The light stands toward (0.62, 0.40, 0.67): a ball on that side of the object shades it.
    spec = mujoco.MjSpec()
    thing = spec.worldbody.add_body(name="object")
    thing.add_freejoint()
    thing.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.1, 0.1, 0.1))
    bright = raycast.render(spec.compile(), _state(), 40, 40, CAMERA)[0][18:22, 18:22].mean()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.15, 0, 0), pos=(0.62, 0.40, 0.67))
    shaded = raycast.render(spec.compile(), _state(), 40, 40, CAMERA)[0][18:22, 18:22].mean()
    assert shaded < 0.85 * bright


def test_a_wrong_number_of_coordinates_is_named():
    with pytest.raises(ValueError, match=r"qpos has shape \(1, 5\), the 1 models need \(frames, 7\)"):
        raycast.render(_model(), np.zeros((1, 5)))
