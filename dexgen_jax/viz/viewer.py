"""The viewer: a session in the browser. One client has the command, others watch; a client that is gone lets go.

Needs viser (`pip install 'dexgen_jax[viz]'`). Everything that can be wrong before a browser is there is said in one
line by `Viewer`.
"""

import contextlib
import errno
import functools
import socket
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dexgen_jax.viz import wrist as wrists
from dexgen_jax.viz.archive import Archive, add_recording, add_replay
from dexgen_jax.viz.clips import Shelf
from dexgen_jax.viz.pace import Pace
from dexgen_jax.viz.panel import Controls, Readings
from dexgen_jax.viz.seat import Seat
from dexgen_jax.viz.session import Session
from dexgen_jax.viz.stage import UNIT, Stage

PICTURES = 30.0  # a second
READ_EVERY, PLOT_EVERY = 3, 5  # control steps between two readings of the panel, and two of its plots
_RING = 1.15  # scene units, size of the ring that turns the wrist
_HANDLE, _HANDLE_COLOUR = 0.17, (37, 99, 235)  # scene units, radius of the ball about a fingertip that is dragged


class Viewer:
    """Serves a session at `http://host:port` until it is told to stop."""

    def __init__(
        self,
        session: Session,
        host: str = "127.0.0.1",
        port: int = 8080,
        folder: str | Path | None = None,
        shelf: Shelf | None = None,
    ):
        """Recordings go to `folder`; without one none are offered. What is on the `shelf` can be shown again.

        Raises ValueError without viser, OSError for a port that cannot be had; port 0 takes any.
        """
        viser = require_viser()
        # Between a browser's last word and its being missed, a picture or two are sent to nobody.
        warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")
        port = free_port(host, port)
        with contextlib.redirect_stdout(None):  # its own panel of addresses
            self.server = viser.ViserServer(host, port, label="dexgen_jax", verbose=False)
        if self.server.get_port() != port:
            self.server.stop()
            raise OSError(f"cannot listen on {host}:{port}: another program took the port; choose another")
        self.port, self.address = port, f"http://{host}:{port}"
        self.session, self.seat = session, Seat()
        self.archive = None if folder is None else Archive(session, Path(folder))
        self.shelf = {} if shelf is None else shelf
        self.pace = Pace(session.account.period)
        self.server.gui.configure_theme(show_logo=False, show_share_button=False, brand_color=(37, 99, 180))
        self.stage = Stage(self.server, session.hand, session.world.shape)
        self.readings = Readings(self.server.gui)
        self._desks: dict[int, Desk] = {}
        self._seating = threading.RLock()  # clients come and go in threads of the server
        self.server.on_client_connect(self._come)
        self.server.on_client_disconnect(self._go)

    def serve(self, stop: Callable[[], bool], clock: Callable[[], float] = time.perf_counter) -> None:
        """Lives and draws until `stop()`."""
        while not stop():
            now = clock()
            if self.pace.due(now, self.session.wishes.speed):
                self.tick()
            self.draw(self.pace.share_elapsed(clock(), self.session.wishes.speed))
            time.sleep(min(1 / PICTURES, max(self.pace.wait(clock()), 0.001)))

    def tick(self) -> None:
        """Lives one control step and hands it to the stage and to the panels."""
        session = self.session
        session.tick()
        self.stage.advance(session.moment, session.wrist, jump=session.before is session.moment)
        with self._seating:
            for desk in self._desks.values():
                desk.follow()
        if self.pace.steps % READ_EVERY == 0:
            self.readings.show(session, self._status())
        if self.pace.steps % PLOT_EVERY == 0:
            self.readings.plot(session.account)

    def draw(self, share: float) -> None:
        """Sends the picture between the last two steps."""
        with self.server.atomic():
            self.stage.draw(share)

    def close(self) -> None:
        """Frees the address."""
        with contextlib.redirect_stdout(None):
            self.server.stop()

    def _status(self) -> str:
        session, others = self.session, self.seat.watching - 1
        words = [f"{others} watching"] if others > 0 else []
        words += ["paused"] if session.wishes.paused else []
        words += ["replay"] if session.clip is not None else []
        if self.archive and (seconds := self.archive.recorder.seconds) is not None:
            words.append(f"recording {seconds:.0f} s" + (", and keeps no more" if self.archive.recorder.full else ""))
        words += ["<b style='color:#dc2626'>dropped</b>"] if session.falling else []
        words += [f"holding: {session.holding}"] if session.holding else []
        return " · ".join(words) or "&nbsp;"

    def _come(self, client: Any) -> None:
        client.camera.on_update(self.stage.frame)
        self.seat.come(client.client_id)
        self._seat_everybody()

    def _go(self, client: Any) -> None:
        with self._seating:
            self._desks.pop(client.client_id, None)
            if self.seat.go(client.client_id):
                self.session.let_go()
            self._seat_everybody()

    def pass_on(self, client: int) -> None:
        """The command goes to the next in line."""
        if self.seat.pass_on(client):
            self.session.let_go()
            self._seat_everybody()

    def _seat_everybody(self) -> None:
        """Gives the controls to the one who has the command, and takes them from whoever had them."""
        with self._seating:
            for number, client in self.server.get_clients().items():
                commands = number == self.seat.holder
                desk = self._desks.get(number)
                if desk is None or desk.commands != commands:
                    if desk is not None:
                        desk.remove()
                    self._desks[number] = Desk(self, client, commands)


class Desk:
    """One client's part of the viewer: the controls and the handles, or a word that it is watching."""

    def __init__(self, viewer: Viewer, client: Any, commands: bool):
        """`client` is viser's; `commands` says whether it has the command."""
        self.session, self.client, self.commands = viewer.session, client, commands
        self._made: list[Any] = []
        self._handles: list[Any] = []
        self._grips: dict[int, np.ndarray] = {}  # of each finger that is held: from the pointer to its ball, (3,) m
        if not commands:
            self._made.append(client.gui.add_markdown("*You are watching: somebody else has the command.*", order=5))
            return
        self.controls = Controls(client.gui, self.session, self._refuse)
        hand_over = client.gui.add_button("Give the command to the next", order=40, visible=False)
        hand_over.on_click(lambda _: viewer.pass_on(client.client_id))
        self._hand_over, self._seat = hand_over, viewer.seat
        self._made.append(hand_over)
        if viewer.archive:
            self._made += add_recording(client, viewer.archive, self._refuse)
        self._made += add_replay(client.gui, self.session, viewer.shelf, self._refuse)
        self._add_handles()
        self._ring = client.scene.add_transform_controls(
            "/ring", _RING, disable_axes=True, disable_sliders=True, opacity=0.35, line_width=1.5,
            wxyz=self.session.wrist, visible=self._by_ring,
        )  # fmt: skip
        self._ring.on_update(self._turned)
        self._made.append(self._ring)

    @property
    def _by_ring(self) -> bool:
        return not isinstance(self.session.wishes.wrist, str)

    def follow(self) -> None:
        """Handles that nobody holds stay with their fingertips, sliders with their joints."""
        if not self.commands:
            return
        self.controls.follow()
        if self._hand_over.visible != (self._seat.watching > 1):
            self._hand_over.visible = self._seat.watching > 1
        if self._ring.visible != self._by_ring:
            self._ring.visible, self._ring.wxyz = self._by_ring, self.session.wrist
        for finger, (handle, tip) in enumerate(zip(self._handles, self.session.tips(), strict=True)):
            if finger not in self._grips:
                handle.position = UNIT * tip

    def remove(self) -> None:
        """Takes it off the client's page."""
        for made in (*self._made, *self._handles):
            made.remove()
        if self.commands:
            self.controls.remove()

    def _add_handles(self) -> None:
        for finger in range(self.session.hand.num_tips):
            handle = self.client.scene.add_icosphere(
                f"/hand/handle_{finger}", _HANDLE, _HANDLE_COLOUR, opacity=0.3, cast_shadow=False,
                receive_shadow=False, position=UNIT * self.session.tips()[finger],
            )  # fmt: skip
            handle.on_drag(functools.partial(self._dragged, finger))
            self._handles.append(handle)

    # Coroutines, for those alone are called in order: an end that overtook the last way would leave a finger held.
    async def _dragged(self, finger: int, event: Any) -> None:
        if event.phase == "end":
            self._grips.pop(finger, None)
            if not self._grips:
                self.session.let_go()
            return
        if finger not in self._grips:
            self._grips[finger] = np.asarray(event.target.position) / UNIT - self._in_palm(event.start_position)
        place = self._in_palm(event.end_position) + self._grips[finger]
        event.target.position = UNIT * place
        self.session.drag(finger, place)
        self.controls.show_operator()

    def _in_palm(self, position: Any) -> np.ndarray:
        """A point (3,) of the scene in the palm's frame [m]."""
        return wrists.rotate(wrists.conjugate(self.session.wrist), np.asarray(position, float) / UNIT)

    async def _turned(self, event: Any) -> None:
        if event.phase != "end":
            self.session.wish(wrist=np.asarray(event.target.wxyz, float))

    def _refuse(self, why: str) -> None:
        self.client.add_notification("That cannot be", why, auto_close_seconds=6, color="red")


def require_viser() -> Any:
    """The viser module. Raises ValueError that says how to get it."""
    try:
        import viser
    except ImportError as error:
        raise ValueError(f"the viewer needs viser ({error}): pip install 'dexgen_jax[viz]'") from error
    return viser


def free_port(host: str, port: int) -> int:
    """The port to listen on, any if `port` is 0. Raises OSError if it cannot be had; viser would take the next one."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            in_use = getattr(error, "errno", None) == errno.EADDRINUSE
            what = "the port is in use; choose another" if in_use else str(error)
            raise OSError(f"cannot listen on {host}:{port}: {what}") from error
        return probe.getsockname()[1]
