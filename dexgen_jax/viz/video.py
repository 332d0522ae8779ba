"""From rendered frames to a film: captions, a gravity arrow, tiles side by side, and an mp4 that browsers play."""

import base64
import functools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dexgen_jax.viz.raycast import CAMERA, Camera, render

__all__ = ["CAMERA", "Camera", "add_gravity", "add_caption", "beside", "html", "render", "write_mp4"]

_INK, _PAPER, _ALARM, _ACCENT = (32, 38, 46), (247, 248, 250), (206, 44, 44), (32, 38, 46)


def add_gravity(frames: np.ndarray, gravity: np.ndarray, camera: Camera = CAMERA) -> np.ndarray:
    """Draws in the lower left corner where `gravity` (frames, 3) [any unit, palm frame] points, seen from the camera.

    An arrow toward the viewer or away from it is short; it is filled when it points toward the viewer.
    """
    height, width = frames.shape[1:3]
    axes = np.stack(camera.axes())  # right, down, forward
    radius = 0.085 * height
    centre = np.array([1.55 * radius, height - 2.05 * radius])
    return np.stack(
        [
            _draw(frame, lambda pen, g=g: _arrow(pen, centre, radius, axes @ (g / np.linalg.norm(g))))
            for frame, g in zip(frames, gravity, strict=True)
        ]
    )


def add_caption(frames: np.ndarray, title: str, notes: Sequence[str], alarm: np.ndarray | None = None) -> np.ndarray:
    """Adds a bar above the picture with the `title` and, below it, each frame's own note.

    Frames where `alarm` (frames,) bool is set get a red frame and note.
    """
    alarm = np.zeros(len(frames), bool) if alarm is None else alarm
    height, width = frames.shape[1:3]
    line = round(0.085 * height)
    bar = 2 * line + 4
    sheet = np.concatenate([np.full((len(frames), bar, width, 3), _PAPER, np.uint8), frames], axis=1)

    def draw(pen: ImageDraw.ImageDraw, note: str, red: bool) -> None:
        pen.text((8, 0.5 * line + 2), title, _INK, _font(round(0.75 * line), bold=True), "lm")
        pen.text((8, 1.5 * line), note, _ALARM if red else _INK, _font(round(0.68 * line)), "lm")
        if red:
            pen.rectangle((0, bar, width - 1, height + bar - 1), outline=_ALARM, width=max(3, width // 80))

    return np.stack(
        [
            _draw(frame, lambda pen, note=note, red=red: draw(pen, note, red))
            for frame, note, red in zip(sheet, notes, alarm, strict=True)
        ]
    )


def beside(*tiles: np.ndarray, gap: int = 6) -> np.ndarray:
    """Puts films of equal height side by side; one that ends early stands still."""
    length = max(len(tile) for tile in tiles)
    columns = []
    for tile in tiles:
        held = np.concatenate([tile, np.repeat(tile[-1:], length - len(tile), axis=0)])
        columns += [np.full((length, tile.shape[1], gap, 3), _PAPER, np.uint8), held]
    return np.concatenate(columns[1:], axis=2)


def write_mp4(path: str | Path, frames: np.ndarray, fps: float) -> None:
    """Writes uint8 (frames, h, w, 3) as H.264; odd sides lose one pixel, which yuv420p cannot hold."""
    height, width = (side - side % 2 for side in frames.shape[1:3])
    raw = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i -"
    coded = "-c:v libx264 -pix_fmt yuv420p -crf 25 -preset medium -movflags +faststart"
    # An absolute path: ffmpeg takes `host:x` for a protocol, and `-x` for an option.
    target = str(Path(path).absolute())
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *f"-y -loglevel error {raw} -an {coded}".split(), target]
    data = np.ascontiguousarray(frames[:, :height, :width]).tobytes()
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        raise OSError(f"ffmpeg could not write {path}: {done.stderr.decode(errors='replace').strip()}")


def html(frames: np.ndarray, fps: float) -> str:
    """Returns uint8 (frames, h, w, 3) as a piece of HTML that holds the film: a notebook shows it without a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_mp4(path, frames, fps)
        return tag(path)


def tag(path: str | Path) -> str:
    """Returns an mp4 file as a piece of HTML that holds it, and plays it again and again."""
    data = base64.b64encode(Path(path).read_bytes()).decode()
    return f"<video src='data:video/mp4;base64,{data}' autoplay loop muted playsinline controls></video>"


@functools.cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Matplotlib brings this font along, so it is there on a bare machine too."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _draw(frame: np.ndarray, draw) -> np.ndarray:
    image = Image.fromarray(frame)
    draw(ImageDraw.Draw(image))
    return np.asarray(image)


def _arrow(pen: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, direction: np.ndarray) -> None:
    """Draws a unit `direction` (3,) given as right, down, forward parts, in a circle of `radius` pixels."""
    pen.ellipse((*(centre - radius), *(centre + radius)), outline=(150, 157, 166), width=1)
    flat, toward = direction[:2], direction[2] < 0
    tip, tail = centre + radius * flat, centre - 0.5 * radius * flat
    length = np.linalg.norm(flat)
    if length < 0.15:  # along the line of sight: a dot comes at the viewer, a ring goes away
        box = (*(centre - radius / 4), *(centre + radius / 4))
        pen.ellipse(box, fill=_ACCENT if toward else None, outline=_ACCENT, width=2)
    else:
        ahead = flat / length
        across = np.array([-ahead[1], ahead[0]])
        neck = tip - 0.42 * radius * ahead
        pen.line((*tail, *neck), fill=_ACCENT, width=max(2, round(radius / 8)))
        wings = [tuple(tip), tuple(neck + 0.24 * radius * across), tuple(neck - 0.24 * radius * across)]
        pen.polygon(wings, fill=_ACCENT if toward else _PAPER, outline=_ACCENT)
    pen.text((centre[0], centre[1] + 1.35 * radius), "gravity", _INK, _font(round(0.55 * radius)), "mm")
