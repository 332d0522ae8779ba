"""The part of the viewer's page that keeps what was played, and shows again what was kept."""

import io
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dexgen_jax.viz import clips, film, recording
from dexgen_jax.viz.clips import Shelf
from dexgen_jax.viz.recording import Recorder
from dexgen_jax.viz.session import Session, Step

FILMED = 30.0  # s: a film shows the last of a recording, for drawing takes longer than living
GALLERY = 24  # grasps
_LIVE, _GRASPS = "life", "grasps of this object"
_LOOK = film.FilmConfig(width=400, height=320, seconds=FILMED)

Refuse = Callable[[str], None]


class Archive:
    """Recordings of a session in a folder: each a dataset, and an mp4 beside it."""

    def __init__(self, session: Session, folder: Path):
        """Listens to the session from now on."""
        self.session, self.folder = session, folder
        self.recorder = Recorder(session.hand, session.world.objects)
        session.listeners.append(self.recorder)

    def keep(self) -> tuple[Path, list[Step]]:
        """Ends the recording and writes it; returns the dataset's folder, and what is in it.

        Raises ValueError for nothing to keep, OSError for what cannot be written.
        """
        steps = self.recorder.stop()
        folder = self.folder / time.strftime("recording_%Y%m%d_%H%M%S")
        return recording.save(folder, self.session.hand, self.session.world.objects, steps), steps

    def film(self, folder: Path, steps: list[Step], caption: str) -> Path:
        """Draws the end of a recording as an mp4 beside its dataset `folder`; takes about 0.2 s a picture."""
        world, path = self.session.world, folder.with_suffix(".mp4")
        recording.write_film(path, world.scene, world.packed, {caption: steps[-round(FILMED * _LOOK.fps) :]}, _LOOK)
        return path


def zipped(folder: Path, also: Path) -> bytes:
    """A folder, and a file beside it, as one file: a browser asks before it takes a second one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (*sorted(folder.rglob("*")), also):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent))
    return buffer.getvalue()


def add_recording(client: Any, archive: Archive, refuse: Refuse) -> list[Any]:
    """Adds the button that records, and hands both in one file to the client when it is pressed again."""
    button = client.gui.add_button("Record", order=30, hint="a dataset of one trajectory, and a film of its end")

    def show() -> None:
        records = archive.recorder.seconds is not None
        button.label, button.color = ("Stop recording", "red") if records else ("Record", None)

    def deliver(folder: Path, steps: list[Step], caption: str) -> None:
        try:
            whole = zipped(folder, archive.film(folder, steps, caption))
        except OSError as error:
            return refuse(f"{error}; the dataset is in {folder}")
        client.send_file_download(f"{folder.name}.zip", whole, save_immediately=True)

    def pressed(_: Any) -> None:
        if archive.recorder.seconds is None:
            archive.recorder.start()
            return show()
        # As it is now: while the film is drawn, another recording may be made and other wishes said.
        caption = f"{archive.session.wishes.operator}, {archive.session.wishes.help}"
        try:
            kept = archive.keep()
        except (ValueError, OSError) as error:
            return refuse(str(error))
        finally:
            show()
        threading.Thread(target=deliver, args=(*kept, caption), daemon=True).start()

    show()  # whoever had the command before may have begun one
    button.on_click(pressed)
    return [button]


def add_replay(gui: Any, session: Session, shelf: Shelf, refuse: Refuse) -> list[Any]:
    """Adds the choice of what is shown: life, grasps, or what is on the shelf."""
    folder = gui.add_folder("Show", order=35, expand_by_default=False)
    with folder:
        what = gui.add_dropdown("What", (_LIVE, _GRASPS, *shelf), initial_value=_LIVE)
        number = gui.add_number("Number", 0, min=0, step=1, visible=False)

    def show(_: Any) -> None:
        number.visible = what.value in shelf
        try:
            session.replay(_clip(session, shelf, what.value, int(number.value)))
        except (ValueError, OSError) as error:
            refuse(str(error))

    what.on_update(show)
    number.on_update(show)
    return [folder]


def _clip(session: Session, shelf: Shelf, what: str, number: int) -> list | None:
    if what == _GRASPS:
        thing = session.wishes.thing
        return clips.gallery(session.hand, thing, *session.world.gallery(thing, GALLERY))
    return shelf[what](number) if what in shelf else None
