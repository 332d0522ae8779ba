"""Fingertips in the palm frame from the 21 landmarks that hand trackers give, MediaPipe's among them. NumPy alone.

The palm frame of a person is that of the robot hands: x out of the palm, z along the straight fingers, and for a right
hand y toward the index finger; its origin is the root of the middle finger. So wrist and camera may move as they like.
"""

import numpy as np

WRIST, INDEX_ROOT, MIDDLE_ROOT, LITTLE_ROOT = 0, 5, 9, 17
TIPS = {"thumb": 4, "index": 8, "middle": 12, "ring": 16, "little": 20}
ORDER = ("index", "middle", "ring", "thumb")  # as the Allegro and the LEAP Hand have them


def palm_frame(landmarks: np.ndarray, right: bool = True) -> np.ndarray:
    """The axes of the palm (3, 3) as rows, from landmarks (21, 3) in any frame; NaN if the palm has no area."""
    wrist, index, middle, little = (landmarks[i] for i in (WRIST, INDEX_ROOT, MIDDLE_ROOT, LITTLE_ROOT))
    across = index - little if right else little - index
    along = _unit(middle - wrist)
    out = _unit(np.cross(across, along))
    return np.stack([out, np.cross(along, out), along])


def fingertips(landmarks: np.ndarray, fingers: tuple[str, ...] = ORDER, right: bool = True) -> np.ndarray:
    """Returns the tips (fingers, 3) [m, palm frame] of landmarks (21, 3) [m, any frame]."""
    landmarks = np.asarray(landmarks, float)
    if landmarks.shape != (21, 3):
        raise ValueError(f"a hand has 21 landmarks with three coordinates, got {landmarks.shape}")
    tips = landmarks[[TIPS[finger] for finger in fingers]] - landmarks[MIDDLE_ROOT]
    return tips @ palm_frame(landmarks, right).T


def _unit(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else np.full(3, np.nan)
