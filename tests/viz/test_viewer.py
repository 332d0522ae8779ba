"""The viewer without a browser, and, where there is one, with it: `-m slow` needs viser, playwright and chromium."""

import contextlib
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import imageio
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import viewer as benchmark
from fake_world import FakeWorld, Patient

from dexgen_jax.dataset import store
from dexgen_jax.viz import archive, film, wrist
from dexgen_jax.viz import viewer as viewers
from dexgen_jax.viz.session import ALONE, Session

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Software rendering, for a machine without a graphics card.
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SECONDS = 120  # s that a slow machine may take for anything


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: the port is in use; choose another"):
            viewers.free_port("127.0.0.1", port)
    assert viewers.free_port("127.0.0.1", 0) > 0
    with pytest.raises(OSError, match="cannot listen on 127.0.0.1:99999"):
        viewers.free_port("127.0.0.1", 99999)


def test_without_viser_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "viser", None)
    with pytest.raises(ValueError, match=r"the viewer needs viser .*: pip install 'dexgen_jax\[viz\]'"):
        viewers.Viewer(None)


@pytest.fixture(scope="module")
def viewer(engine, tmp_path_factory):
    """A viewer that serves a hand without physics; `engine` lends its films a scene."""
    pytest.importorskip("viser", reason="needs viser: pip install 'dexgen_jax[viz]'")
    world = FakeWorld(reach=9.0)
    world.scene, world.packed = engine.scene, lambda thing: engine.object(1)
    session = Session(world, Patient(), {"clean": lambda wanted, rng: 0 * wanted})
    shelf = {"a row of an evaluation": lambda number: [session.moment] * (number + 5)}
    page = viewers.Viewer(session, port=0, folder=tmp_path_factory.mktemp("kept"), shelf=shelf)
    stop = threading.Event()
    thread = threading.Thread(target=page.serve, args=(stop.is_set,))
    thread.start()
    yield page
    stop.set()
    thread.join()
    page.close()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a chromium: apt install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


def wait(until):
    """Until something is so; returns it."""
    end = time.monotonic() + SECONDS
    while not (found := until()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


@pytest.fixture
def client(viewer):
    """One that speaks viser's protocol and draws nothing."""
    there = benchmark.Client(viewer.port)
    wait(lambda: there.heard("IcosphereMessage", "/hand/handle_3"))
    yield there
    there.close()
    wait(lambda: not viewer.server.get_clients())


def test_a_client_is_shown_the_hand_and_drags_a_finger_and_lets_go(viewer, client):
    session = viewer.session
    wait(lambda: client.heard("MeshMessage", "/hand/object/light"))
    session.wish(help=ALONE, operator="still")
    begin = session.tips()
    client.drag(1, begin[1], "start")
    client.drag(1, begin[1] + [0.006, 0, 0.0])
    wait(lambda: np.linalg.norm(session.tips()[1] - begin[1]) > 0.004)
    assert session.wishes.operator == "handles"
    client.drag(1, begin[1] + [0.006, 0, 0.0], "end")
    wait(lambda: not session.wishes.tips)


def test_who_vanishes_while_dragging_leaves_the_hand_holding(viewer, client):
    session = viewer.session
    client.drag(0, session.tips()[0] + [0.02, 0, 0])
    wait(lambda: 0 in session.wishes.tips)
    client.close()
    wait(lambda: not session.wishes.tips)
    time.sleep(0.3)
    where = session.moment.target
    time.sleep(0.3)
    np.testing.assert_array_equal(session.moment.target, where)


def test_the_second_client_watches_and_gets_the_command_when_the_first_is_gone(viewer, client):
    watcher = benchmark.Client(viewer.port)
    wait(lambda: viewer.seat.watching == 2)
    wait(lambda: any("watching" in said["props"]["_markdown"] for said in watcher.heard("GuiMarkdownMessage")))
    assert not watcher.heard("IcosphereMessage", "/hand/handle_0")
    client.close()
    wait(lambda: watcher.heard("IcosphereMessage", "/hand/handle_0"))
    watcher.close()


@contextlib.contextmanager
def opened(browser, viewer):
    """A page that has been told what it will show, its client's number, and what it complained of."""
    before = set(viewer.server.get_clients())
    page, errors = browser.new_page(viewport={"width": 900, "height": 400}), []
    page.set_default_timeout(1000 * SECONDS)
    # What viser's page says of every drag of a node, and of nothing else.
    own = "Unable to preventDefault inside passive event listener invocation."
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" and said.text != own else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(viewer.address)
    number = wait(lambda: set(viewer.server.get_clients()) - before).pop()
    wait(lambda: number in viewer._desks)
    try:
        yield page, number, errors
    finally:  # or the next page would only watch
        page.close()
        wait(lambda: number not in viewer.server.get_clients())


def pixel(client, point):
    """Where a point (3,) of the scene is on the client's page."""
    camera = client.camera
    forward = camera.look_at - camera.position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, camera.up_direction)
    right = right / np.linalg.norm(right)
    way = point - camera.position
    reach = np.tan(camera.fov / 2) * (way @ forward) / (camera.image_height / 2)
    across, up = way @ right / reach, way @ np.cross(right, forward) / reach
    return camera.image_width / 2 + across, camera.image_height / 2 - up


def handle_in_scene(viewer, finger):
    """Where the ball about a fingertip is in the scene."""
    return wrist.rotate(viewer.session.wrist, viewers.UNIT * viewer.session.tips()[finger])


@pytest.mark.slow
def test_the_page_loads_and_a_dragged_handle_moves_the_finger(viewer, browser):
    viewer.session.wish(help=ALONE, operator="still")
    with opened(browser, viewer) as (page, number, errors):
        page.get_by_text("Shake", exact=True).first.wait_for()
        client, finger = viewer.server.get_clients()[number], 2
        wait(lambda: np.allclose(client.camera.position, viewer.server.initial_camera.position, atol=1e-3))
        time.sleep(5)  # the scene fades in
        begin = viewer.session.tips()
        across, down = pixel(client, handle_in_scene(viewer, finger))
        page.mouse.move(across, down)
        time.sleep(2)  # the browser finds what is under the pointer
        page.mouse.down()
        page.mouse.move(across, down - 15, steps=8)
        wait(lambda: finger in viewer.session.wishes.tips)
        wait(lambda: np.linalg.norm(viewer.session.tips()[finger] - begin[finger]) > 0.004)
        others = np.delete(viewer.session.tips() - begin, finger, axis=0)
        assert np.abs(others).max() < 0.003
        # The one who drags is gone, in the middle of it.
        page.close()
        wait(lambda: not viewer.session.wishes.tips)
        time.sleep(0.5)
        where = viewer.session.moment.target
        time.sleep(0.5)
        np.testing.assert_allclose(viewer.session.moment.target, where, atol=1e-6)
        assert errors == []


@pytest.mark.slow
def test_a_recording_is_downloaded_and_read_back(viewer, browser, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_LOOK", film.FilmConfig(96, 80, seconds=30.0))  # small is soon drawn
    with opened(browser, viewer) as (page, _, errors):
        came = []
        page.on("download", lambda file: came.append(file))
        page.get_by_text("Record", exact=True).click()
        wait(lambda: (viewer.archive.recorder.seconds or 0) > 0.5)
        page.get_by_text("Stop recording", exact=True).click()
        wait(lambda: page.wait_for_timeout(100) or came)  # playwright hears of them while it waits
        came[0].save_as(tmp_path / "kept.zip")
        assert errors == []
    shutil.unpack_archive(tmp_path / "kept.zip", tmp_path)
    (mp4,) = tmp_path.glob("*.mp4")
    kept = store.open_dataset(mp4.with_suffix(""), viewer.session.hand)
    assert kept.num_streams == 1 and kept.num_rows >= 5
    with imageio.get_reader(mp4) as read:
        assert read.count_frames() == kept.num_rows


@pytest.mark.slow
def test_what_was_kept_is_shown_from_the_page(viewer, browser):
    with opened(browser, viewer) as (page, _, errors):
        page.get_by_text("Show", exact=True).click()
        page.get_by_label("What", exact=True).click()
        page.get_by_role("option", name="a row of an evaluation").click()
        wait(lambda: viewer.session.clip is not None)
        assert len(viewer.session.clip) == 5
        page.get_by_label("What", exact=True).click()
        page.get_by_role("option", name="life").click()
        wait(lambda: viewer.session.clip is None)
        assert errors == []


@pytest.mark.slow
def test_two_clients_one_command(viewer, browser):
    with opened(browser, viewer) as (first, one, errors):
        with opened(browser, viewer) as (second, two, more):
            second.get_by_text("You are watching").wait_for()
            assert second.get_by_text("Fresh grasp").count() == 0
            first.get_by_text("Give the command to the next").wait_for()
            first.get_by_text("alone", exact=True).last.click()
            wait(lambda: viewer.session.wishes.help == ALONE)
            first.get_by_text("Give the command to the next").click()
            wait(lambda: viewer.seat.holder == two)
            second.get_by_text("Fresh grasp").wait_for()
            second.get_by_text("Shake", exact=True).last.click()
            wait(lambda: viewer.session.wishes.shake > 0)
        wait(lambda: viewer.seat.holder == one)
        assert errors == more == []
