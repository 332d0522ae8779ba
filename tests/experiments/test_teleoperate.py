"""A device's whole way: calibrated, followed, held when it stops; and the formula that stands in for a person."""

import json

import fake_device
import finger_motion
import input_device
import numpy as np
import pytest
import send_fingertips
import settings

from dexgen_jax.deploy import calibration
from dexgen_jax.hand import allegro, kinematics, leap

FINGERS = ("index", "middle", "ring", "thumb")


def test_the_example_sender_calibrates_drives_the_hand_and_is_held_when_it_leaves(tmp_path, capsys):
    result, sent, session = fake_device.teleoperated(tmp_path, sent_s=0.6, help="alone")
    said = capsys.readouterr().err
    for words in ("waiting for a device", "open hand: fingers straight", "fist hand", "calibrated: ff x 1.2"):
        assert words in said
    assert "holding: the device has left" in said and session.holding == "the device has left"
    assert result["steps"] >= 3 and result["device"]["refused"] == 0
    assert result["device"]["moved"]["count"] >= 20 and sent["sent_to_moved"]["count"] >= 20
    assert 0 < sent["sent_to_moved"]["p50_ms"] < sent["sent_to_moved"]["p99_ms"]
    # The hand has come to where the person's fingers were last, in its own measure.
    found = input_device.read(tmp_path / "teleoperate" / "calibration.json", allegro.load())
    last = found.apply(finger_motion.Motion(FINGERS, seed=0).at(0.6))
    begin = np.asarray(kinematics.keypoints(session.hand, session.world.grasp))[:4]
    assert np.linalg.norm(session.tips() - last) < 0.5 * np.linalg.norm(begin - last)

    # It is kept for the next start, which asks nobody.
    config = fake_device.configured("teleoperate", tmp_path)
    again = input_device.calibrated(config, None, allegro.load(), tmp_path / "teleoperate")
    np.testing.assert_array_equal(again.scale, found.scale)


@pytest.mark.parametrize("text, words", [
    ("{", "is no calibration .*: calibrate anew with --config.calibrate=True"),
    ("[]", "is no calibration"),
    (json.dumps({"hand": "leap", "scale": [1] * 4, "offset": [[0] * 3] * 4}), "it is not of the allegro hand"),
    (json.dumps({"hand": "allegro", "scale": [1] * 5, "offset": [[0] * 3] * 4}), r"scale has shape \(4,\), got \(5,\)"),
])  # fmt: skip
def test_a_file_that_is_no_calibration_of_this_hand_says_so(tmp_path, text, words):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        input_device.read(tmp_path / "calibration.json", allegro.load())


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("hold", 0.0, "config.hold is 0.0: it must be above 0"),
        ("max_age", -1.0, "config.max_age is -1.0: it must be above 0"),
        ("wrist", "palm left", "wrist is 'palm left'"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_start(tmp_path, key, value, words):
    with pytest.raises(ValueError, match=words):
        settings.refuse(fake_device.configured("teleoperate", tmp_path, **{key: value}), "teleoperate")


def test_from_a_message_to_the_motion_by_hand():
    followed = send_fingertips.Followed()
    for heard, sent, acted in ((1, 0.0, None), (2, 0.02, None), (3, 0.09, {"heard": 2, "after": 0.05})):
        reply = {"heard": heard, "events": [], "acted": acted}
        followed.add(reply, sent, answered=sent + 0.01, counts=True)
    # The second was there by 0.03 s and the hand had moved 0.05 s later, at 0.08 s: 80 ms after the first was sent and
    # 60 ms after the second. The third still waits.
    assert followed.latency.count == 2 and followed.latency.worst == pytest.approx(0.08)
    assert followed.latency.quantile(0.5) == pytest.approx(0.06, rel=0.03)


def test_minimum_jerk_by_hand_and_by_its_laws():
    np.testing.assert_allclose(finger_motion.minimum_jerk(np.array([0.0, 0.5, 1.0])), [0, 0.5, 1])
    time = np.linspace(0, 1, 1001)
    speed = np.gradient(finger_motion.minimum_jerk(time), time)
    assert speed.max() == pytest.approx(1.875, abs=1e-3)  # 30 t^2 (1 - t)^2 in the middle
    assert speed[0] == pytest.approx(0, abs=1e-3) and speed[-1] == pytest.approx(0, abs=1e-3)


def test_the_motion_is_a_persons_in_reach_speed_and_tremor():
    motion = finger_motion.Motion(FINGERS, seed=0)
    times = np.arange(0, 8, 1 / 120)
    tips = np.array([motion.at(time) for time in times])
    assert np.abs(np.diff(tips, axis=0)).max() * 120 < 1.0  # m/s
    assert np.linalg.norm(tips, axis=-1).max() < 0.2
    power = np.abs(np.fft.rfft([motion.tremor(time)[0, 0] for time in times]))
    assert np.fft.rfftfreq(len(times), 1 / 120)[power.argmax()] == pytest.approx(9.0, abs=0.1)
    np.testing.assert_array_equal(tips[100], finger_motion.Motion(FINGERS, seed=0).at(times[100]))


@pytest.mark.parametrize("hand", [allegro.load(), leap.load()], ids=lambda hand: hand.name)
@pytest.mark.parametrize("common", [False, True])
def test_its_open_hand_and_fist_calibrate_both_hands(hand, common):
    poses = np.stack([finger_motion.tips(np.full(4, bent), FINGERS) for bent in (0.0, 1.0)])
    found = calibration.fit(poses, calibration.of_hand(hand), calibration.names(hand), common)
    middle = np.linalg.norm(np.mean([found.apply(tips) for tips in poses] - calibration.of_hand(hand), axis=0), axis=-1)
    assert middle.max() < 1e-6 and 0.7 < found.scale.min() <= found.scale.max() < 1.5
