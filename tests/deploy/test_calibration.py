"""Laws: a known scale and offset are found; the person's poses become the hand's; what is degenerate is named."""

import numpy as np
import pytest

from dexgen_jax.deploy import calibration
from dexgen_jax.deploy.calibration import Calibration
from dexgen_jax.hand import allegro, registry

FINGERS = calibration.names(allegro.load())
HAND = calibration.of_hand(allegro.load())
SCALE = np.array([1.25, 1.2, 1.25, 0.8])
OFFSET = np.array([[0.01, -0.02, 0.03]] * 4)


def person(scale=SCALE, offset=OFFSET):
    """Tips in each pose of a person for whom scale and offset are right."""
    return (HAND - offset) / np.broadcast_to(scale, 4)[:, None]


def test_a_known_scale_and_offset_are_found():
    found = calibration.fit(person(), HAND, FINGERS)
    np.testing.assert_allclose(found.scale, SCALE)
    np.testing.assert_allclose(found.offset, OFFSET, atol=1e-12)
    np.testing.assert_allclose(found.apply(person()[0]), HAND[0], atol=1e-12)
    common = calibration.fit(person(1.1), HAND, FINGERS, common=True)
    np.testing.assert_allclose(common.scale, 1.1)


def test_one_scale_by_hand():
    # The tip goes 6 cm up; the hand's goes 6 cm up and 3 cm out. Scale: (0.06 x 0.06) / (0.06 x 0.06) = 1, for what is
    # across is no share of the way; the offset brings the middles (0, 0, 3) and (1.5, 0, 3) cm together.
    found = calibration.fit([[[0, 0, 0]], [[0, 0, 0.06]]], [[[0, 0, 0]], [[0.03, 0, 0.06]]], ("ff",))
    np.testing.assert_allclose(found.scale, [1.0])
    np.testing.assert_allclose(found.offset, [[0.015, 0, 0]], atol=1e-12)


def test_a_common_scale_is_the_least_squares_of_all_fingers_together():
    away = person() + 0.004 * np.random.default_rng(0).standard_normal(HAND.shape)
    best = calibration.fit(away, HAND, FINGERS, common=True)

    def error(factor):
        scale = best.scale * factor
        offset = HAND.mean(0) - scale[:, None] * away.mean(0)
        return sum(
            np.sum((Calibration(scale, offset).apply(tips) - goal) ** 2) for tips, goal in zip(away, HAND, strict=True)
        )

    assert error(1.0) < min(error(0.99), error(1.01))


def test_a_noisy_pose_is_its_median_and_what_is_no_number_is_left_out():
    rng = np.random.default_rng(1)
    readings = person()[0] + 0.002 * rng.standard_normal((300, 4, 3))
    readings[::20] += 0.3  # a tracker's slips
    readings[5, 1, 2] = np.nan
    np.testing.assert_allclose(calibration.place(readings, FINGERS, "open"), person()[0], atol=1e-3)


@pytest.mark.parametrize("hand", ["allegro", "leap", "allegro_left"])
def test_the_poses_of_a_hand_are_open_and_closed(hand):
    spread, fist = calibration.of_hand(registry.load(hand))
    assert np.all(np.linalg.norm(spread - fist, axis=-1) > 0.1)
    assert np.all(spread[:3, 2] > 0.1) and np.all(np.abs(fist) < 0.06)  # fingers along z, then close to the palm


def test_a_calibration_survives_its_file_and_one_of_another_hand_does_not():
    made = calibration.fit(person(), HAND, FINGERS)
    again = Calibration.from_dict(made.to_dict(), 4)
    np.testing.assert_allclose(again.apply(person()[1]), HAND[1], atol=1e-6)
    for said, words in (
        ({"scale": [1.0]}, "a calibration has scale and offset, got scale"),
        (made.to_dict() | {"scale": [1.0] * 5}, r"scale has shape \(4,\), got \(5,\)"),
        (made.to_dict() | {"scale": [1.0, 1, 1, -1]}, "scales above zero"),
        (made.to_dict() | {"offset": [[np.nan] * 3] * 4}, "finite numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            Calibration.from_dict(said, 4)


def still(finger):
    tips = person()
    tips[1, finger] = tips[0, finger] + 0.002
    return tips


@pytest.mark.parametrize(
    "tips, words",
    [
        (still(2), "rf moved by 3 mm between the poses, and 30 mm is the least"),
        (
            1.01 * person()[::-1],
            "the scale of ff would be -1.2, and hands are within 0.4 to 2.5: are positions in metres",
        ),
        (1010 * person(), "the scale of ff would be 0.0012, .* in metres"),
        (person()[..., [1, 2, 0]], "the scale of .* in the axes of the palm frame"),
        (np.full((2, 4, 3), np.nan), "ff moved by nan mm"),
        (person()[:, :3], r"tips of 4 fingers belong together, got \(2, 3, 3\) and \(2, 4, 3\)"),
    ],
)
def test_a_degenerate_calibration_is_refused_by_the_fingers_name(tips, words):
    with pytest.raises(ValueError, match=words):
        calibration.fit(tips, HAND, FINGERS)


def test_a_pose_that_was_not_held_or_hardly_seen_is_refused():
    rng = np.random.default_rng(2)
    readings = np.repeat(person()[:1], 100, axis=0)
    readings[:, 3] += 0.03 * rng.standard_normal((100, 3))
    with pytest.raises(
        ValueError, match="th was not held still in the pose 'fist': its tip strayed by .* mm, and 15 mm"
    ):
        calibration.place(readings, FINGERS, "fist")
    with pytest.raises(ValueError, match="19 sound readings of the pose 'open' came, and 20 is the least"):
        calibration.place(readings[:19], FINGERS, "open")
