import dataclasses

import fake_streams
import imageio
import numpy as np
import pytest
from fake_world import FakeWorld, Patient

from dexgen_jax.dataset import store, windows
from dexgen_jax.dataset.store import DROP, FIRST, INVALID, PERTURBED, RESOLUTION, SUCCESS
from dexgen_jax.viz import clips, film, recording
from dexgen_jax.viz.recording import Recorder
from dexgen_jax.viz.session import ALONE, FALL_STEPS, Session


@pytest.fixture(scope="module")
def taken():
    """A recording: 20 steps in peace, then shaken until the object was lost, and 5 steps of the next grasp."""
    world = FakeWorld()
    session = Session(world, Patient(), {}, seed=1)
    recorder = Recorder(world.hand, world.objects)
    session.listeners.append(recorder)
    session.tick()  # before the beginning
    recorder.start()
    for _ in range(20):
        session.tick()
    session.wish(shake=0.5, help=ALONE, thing="cube_55")
    while not session.falling:
        session.tick()
    session.wish(shake=0.0)
    for _ in range(FALL_STEPS + 5):
        session.tick()
    return world.hand, recorder.stop()


def test_the_datasets_reader_opens_a_recording(taken, tmp_path):
    hand, steps = taken
    recording.save(tmp_path / "mine", hand, FakeWorld.objects, steps)
    data = store.open_dataset(tmp_path / "mine", hand)
    assert (data.num_streams, data.num_rows) == (1, len(steps))
    columns = data.read()
    np.testing.assert_allclose(columns["q"][0, 3] * RESOLUTION, steps[3].before.q, atol=RESOLUTION / 2)
    flags = columns["flags"][0]
    lost = int(np.flatnonzero(flags & DROP)[0])
    assert np.flatnonzero(flags & FIRST).tolist() == [0, lost + FALL_STEPS]
    assert np.flatnonzero(flags & INVALID).tolist() == list(range(lost + 1, lost + FALL_STEPS))
    assert np.flatnonzero(flags & PERTURBED).tolist() == list(range(20, lost + 1))
    assert flags[5] & SUCCESS  # every seventh step of this world, and one had passed before
    found = windows.recording(columns, history=4, horizon=2, drop_rows=2)
    assert len(found.index) and found.index.max() < 20  # neither from the shaken rows nor from the fall


def test_a_recording_is_shown_again_as_it_was(taken, tmp_path):
    hand, steps = taken
    recording.save(tmp_path / "mine", hand, FakeWorld.objects, steps)
    data = store.open_dataset(tmp_path / "mine", hand)
    clip = clips.trajectory(hand, data, 0)
    assert len(clip) == len(steps) and clip[0].thing == "cube_55"
    np.testing.assert_allclose(clip[9].target, steps[9].before.target, atol=RESOLUTION / 2)
    np.testing.assert_array_equal(clip[9].gravity, steps[9].before.gravity)
    with pytest.raises(ValueError, match="has streams 0 to 0, asked for 3"):
        clips.trajectory(hand, data, 3)


def test_a_log_that_knows_no_object_is_not_shown(tmp_path):
    hand, made = FakeWorld().hand, {"objects": []}  # as an import leaves it
    store.create(tmp_path, hand, store.Layout(1, 1, 5), made).write(0, fake_streams.columns(1, 5))
    with pytest.raises(ValueError, match="knows joints, but neither objects nor their poses, .*: it cannot be shown; "):
        clips.trajectory(hand, store.open_dataset(tmp_path), 0)


def test_a_film_has_a_picture_for_each_step(taken, tmp_path, engine):
    _, steps = taken
    ball = [dataclasses.replace(s, before=dataclasses.replace(s.before, thing="sphere_64", scale=1.04)) for s in steps]
    shown = recording.trace(ball[:4], lambda thing: engine.object(1))
    assert shown.q.shape == (4, 1, 16) and shown.drops.shape == (4, 1)
    np.testing.assert_allclose(shown.object.size[0, 0, 0, 0], 1.04 * 0.032, rtol=1e-5)
    path, look = tmp_path / "mine.mp4", film.FilmConfig(96, 80, seconds=1.0)
    recording.write_film(path, engine.scene, lambda thing: engine.object(1), {"a": ball[:5], "b": ball[5:10]}, look)
    with imageio.get_reader(path) as read:
        assert read.count_frames() == 5 and read.get_data(0).shape[1] > 2 * 96


def test_a_gallery_stays_with_each_grasp():
    hand = FakeWorld().hand
    q = np.arange(3)[:, None] * np.ones(hand.num_joints)
    clip = clips.gallery(hand, "cube_55", q, np.tile([0.06, 0, 0.05, 1, 0, 0, 0], (3, 1)))
    assert [moment.q[0] for moment in clip] == [i for i in range(3) for _ in range(clips.STAY)]


def test_nothing_recorded_is_nothing_to_keep():
    recorder = Recorder(FakeWorld().hand, FakeWorld.objects)
    assert recorder.seconds is None
    recorder.start()
    assert recorder.seconds == 0
    with pytest.raises(ValueError, match="needs at least 2 control steps, this one has 0"):
        recorder.stop()
    assert recorder.seconds is None


def test_a_recording_keeps_its_first_ten_minutes_and_says_when_they_are_full(taken, monkeypatch):
    hand, steps = taken
    monkeypatch.setattr(recording, "MOST_STEPS", 30)
    recorder = Recorder(hand, FakeWorld.objects)
    recorder(steps[0])  # nobody asked for it yet
    recorder.start()
    for count, step in enumerate(2 * steps):
        assert recorder.full == (count >= 30)
        recorder(step)
    assert recorder.seconds == pytest.approx(3.0) and len(recorder.stop()) == 30
    assert not recorder.full


def test_a_row_of_an_evaluation_is_shown_with_its_own_object_and_jumps_after_a_drop(taken, engine):
    hand, steps = taken
    trace = recording.trace(steps, lambda thing: engine.object(1))
    lost = int(np.flatnonzero(trace.drops)[0])
    clip = clips.evaluated(hand, trace, 0)
    assert len(clip) == len(steps) and all(moment.shape is clip[0].shape for moment in clip)
    assert [i for i, moment in enumerate(clip) if moment.first] == [lost + 1]
    np.testing.assert_array_equal(clip[9].goal_pose, trace.goal_pose[9, 0])
    with pytest.raises(ValueError, match="environments 0 to 0 were traced, asked for 1"):
        clips.evaluated(hand, trace, 1)
