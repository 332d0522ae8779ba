import base64
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from dexgen_jax.viz import video


def test_the_arrow_points_where_gravity_points():
    camera = video.Camera(eye=(1, 0, 0), target=(0, 0, 0), up=(0, 0, 1))
    blank = np.full((2, 120, 160, 3), 200, np.uint8)
    down, right = video.add_gravity(blank, np.array([[0, 0, -9.81], [0, 9.81, 0]]), camera)
    for frame, axis in ((down, 0), (right, 1)):
        # Rows from 110 on hold the word below the circle.
        spread = np.ptp(np.argwhere(frame[:110].max(-1) < 100), axis=0)
        assert spread[axis] > 1.5 * spread[1 - axis]


def test_caption_adds_a_bar_and_an_alarm_a_red_frame():
    blank = np.zeros((2, 100, 200, 3), np.uint8)
    captioned = video.add_caption(blank, "noisy", ["0 drops", "1 drop"], np.array([False, True]))
    assert captioned.shape[1] > 100 and captioned.shape[2] == 200
    assert captioned[0, -1].max() == 0 and captioned[1, -1, :, 0].min() > 150


def test_beside_waits_for_the_longer_film():
    one, three = np.zeros((1, 10, 8, 3), np.uint8), np.full((3, 10, 8, 3), 9, np.uint8)
    both = video.beside(one, three, gap=2)
    assert both.shape == (3, 10, 18, 3)
    assert both[2, :, :8].max() == 0 and both[2, :, 10:].min() == 9


def test_mp4_can_be_read_back(tmp_path):
    frames = np.zeros((12, 65, 97, 3), np.uint8)  # odd sides
    frames[6:] = 220
    video.write_mp4(tmp_path / "film.mp4", frames, fps=20)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    meta = next(reader)
    read = [np.frombuffer(data, np.uint8).mean() for data in reader]
    assert meta["size"] == (96, 64) and meta["fps"] == 20 and "h264" in meta["codec"] and "yuv420p" in meta["pix_fmt"]
    assert len(read) == 12 and read[0] < 10 and read[-1] > 200


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"ffmpeg could not write .*nowhere/film\.mp4"):
        video.write_mp4(tmp_path / "nowhere" / "film.mp4", np.zeros((2, 16, 16, 3), np.uint8), fps=10)


@pytest.mark.parametrize("folder", ["runs:1", "rtmp:x", "-y", "a b", "100%d", "[1]"])
def test_whatever_the_folder_is_called_the_film_is_in_it(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    video.write_mp4(Path(folder) / "film.mp4", np.zeros((2, 16, 16, 3), np.uint8), fps=10)
    assert (tmp_path / folder / "film.mp4").stat().st_size > 0


def test_a_film_for_a_notebook_holds_the_whole_mp4(tmp_path):
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    video.write_mp4(tmp_path / "film.mp4", frames, fps=10)
    page = video.html(frames, fps=10)
    assert page.startswith("<video src='data:video/mp4;base64,") and page.endswith("</video>")
    assert base64.b64decode(page.split("base64,")[1].split("'")[0]) == (tmp_path / "film.mp4").read_bytes()
