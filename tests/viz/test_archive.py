"""The button that records, with a page that only remembers what it was told."""

import threading
import types

import pytest
from fake_world import FakeWorld, Patient

from dexgen_jax.viz import archive, recording
from dexgen_jax.viz.session import Session


class Page:
    """A client of viser's as far as the button needs one."""

    def __init__(self):
        self.gui, self.downloads, self.refused = self, [], []
        self.told = threading.Semaphore(0)

    def add_button(self, label, **_):
        self.button = types.SimpleNamespace(label=label, color=None)
        self.button.on_click = lambda press: setattr(self, "press", lambda: press(None))
        return self.button

    def send_file_download(self, name, data, save_immediately):
        self.downloads.append(name)
        self.told.release()

    def refuse(self, why):
        self.refused.append(why)
        self.told.release()


@pytest.fixture
def kept(tmp_path):
    return archive.Archive(Session(FakeWorld(), Patient(), {}, seed=1), tmp_path)


def page_of(kept):
    page = Page()
    archive.add_recording(page, kept, page.refuse)
    return page


def live(kept, steps):
    for _ in range(steps):
        kept.session.tick()


def test_whoever_gets_the_command_in_the_middle_of_a_recording_can_stop_it(kept, monkeypatch):
    monkeypatch.setattr(archive.Archive, "film", lambda self, folder, steps, caption: folder.with_suffix(".mp4"))
    one = page_of(kept)
    assert one.button.label == "Record"
    one.press()
    assert one.button.label == "Stop recording"
    live(kept, 3)
    other = page_of(kept)
    assert (other.button.label, other.button.color) == ("Stop recording", "red")
    other.press()
    assert (other.button.label, other.button.color) == ("Record", None)
    assert other.told.acquire(timeout=120) and len(other.downloads) == 1 and not one.downloads


def test_a_film_is_of_its_own_recording_with_the_words_of_its_end(kept, monkeypatch):
    drawn, may_draw = [], threading.Event()
    names = iter(("first", "second"))
    monkeypatch.setattr(archive.time, "strftime", lambda _: next(names))

    def write_film(path, scene, packed, takes, look):
        assert may_draw.wait(120)
        drawn.append((path.stem, {caption: len(steps) for caption, steps in takes.items()}))

    monkeypatch.setattr(recording, "write_film", write_film)
    kept.session.world.scene = kept.session.world.packed = None
    page = page_of(kept)
    for steps, help_given in ((3, "helped"), (5, "alone")):
        kept.session.wish(help=help_given)
        page.press()
        live(kept, steps)
        page.press()
    may_draw.set()
    assert all(page.told.acquire(timeout=120) for _ in range(2))
    assert sorted(drawn) == [("first", {"still, helped": 3}), ("second", {"still, alone": 5})]


def test_what_cannot_be_drawn_or_written_is_told(kept, monkeypatch):
    page = page_of(kept)
    page.press()
    page.press()
    assert page.button.label == "Record" and "needs at least 2 control steps, this one has 0" in page.refused.pop()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(archive.Archive, "film", full)
    page.press()
    live(kept, 3)
    page.press()
    assert page.told.acquire(timeout=120) and page.told.acquire(timeout=120)
    assert "no space left on device; the dataset is in" in page.refused.pop()
    monkeypatch.setattr(recording, "save", full)
    page.press()
    live(kept, 3)
    page.press()
    assert page.refused == ["no space left on device"] and page.button.label == "Record"
