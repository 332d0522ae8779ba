"""Laws: what tracker and wrist do is not seen; a left hand is the mirror image of a right one."""

import numpy as np
import pytest

from dexgen_jax.deploy import landmarks
from dexgen_jax.hand import rotation


@pytest.fixture
def hand():
    """21 landmarks (21, 3) [m] of a right hand that lies in its palm frame: wrist and roots by hand, the rest drawn."""
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (21, 3))
    points[landmarks.WRIST] = 0, 0, -0.09
    points[landmarks.MIDDLE_ROOT] = 0, 0, 0
    points[landmarks.INDEX_ROOT], points[landmarks.LITTLE_ROOT] = (0, 0.025, -0.004), (0, -0.04, -0.015)
    return points


def test_in_its_own_frame_the_tips_are_the_landmarks(hand):
    np.testing.assert_allclose(landmarks.fingertips(hand), hand[[8, 12, 16, 4]], atol=1e-12)
    np.testing.assert_allclose(landmarks.fingertips(hand, ("thumb", "little")), hand[[4, 20]], atol=1e-12)


def test_wrist_and_camera_may_be_anywhere(hand):
    turn = np.array([0.6, -0.3, 0.5, 0.4])
    moved = np.asarray(rotation.rotate((turn / np.linalg.norm(turn))[None], hand)) + [0.3, -0.2, 1.0]
    np.testing.assert_allclose(landmarks.fingertips(moved), landmarks.fingertips(hand), atol=1e-6)


def test_a_left_hand_is_the_mirror_image(hand):
    left = landmarks.fingertips(hand * [1, -1, 1], right=False)
    np.testing.assert_allclose(left, landmarks.fingertips(hand) * [1, -1, 1], atol=1e-12)
    wrong = landmarks.fingertips(hand * [1, -1, 1])  # told to be a right one, it looks through the back of the hand
    np.testing.assert_allclose(wrong, left * [-1, -1, 1], atol=1e-12)


def test_a_palm_without_area_gives_no_numbers_which_the_stream_refuses(hand):
    hand[landmarks.LITTLE_ROOT] = hand[landmarks.INDEX_ROOT]
    assert np.isnan(landmarks.fingertips(hand)).any()
    with pytest.raises(ValueError, match=r"a hand has 21 landmarks with three coordinates, got \(20, 3\)"):
        landmarks.fingertips(hand[:20])
