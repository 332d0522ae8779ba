"""What the viewer costs and how soon it answers, measured by a client without a screen.

Time: under a minute after compiling. Expected on a quiet machine: ten steps a second kept, and a finger seen to move
within 0.3 s of its handle: a step of 0.1 s is waited for and lived, and pictures are up to one step old. Figures of a
free machine and of a loaded one are in docs/viewer.md.
Command: python benchmarks/viewer.py [--seconds=20] [--drags=30] [--object=cube_55]

Needs the extra `viz`. The client speaks viser's protocol over a web socket on this machine; what a browser then needs
to draw is not in it. The last line is one JSON object.
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path

import jax
import numpy as np

from dexgen_jax.controller.controller import Controller
from dexgen_jax.experts.networks import Expert
from dexgen_jax.viz import wrist as wrists
from dexgen_jax.viz.session import ALONE, Session
from dexgen_jax.viz.simulation import Simulation
from dexgen_jax.viz.viewer import UNIT, Viewer

MOVED = 0.01  # change of a link's quaternion that counts as motion: 0.02 rad, and a drag asks for about 0.1
# The hand moves by itself otherwise.
QUIET = {"randomization.action_noise": 0.0, "randomization.push_acceleration": 0.0}
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0, 0, 0), "position": (4.0, -3.0, 2.0), "fov": 0.5, "near": 0.01,
    "far": 1000.0, "image_height": 600, "image_width": 800, "look_at": (0.0, 0, 0), "up_direction": (0.0, 0, 1),
}  # fmt: skip


class Client:
    """A viser client that keeps what it hears: a web socket and no screen."""

    def __init__(self, port: int):
        """Connects, and says where its camera is, which makes it a client."""
        import viser
        from websockets.sync.client import connect

        self._socket = connect(f"ws://127.0.0.1:{port}", subprotocols=[f"viser-v{viser.__version__}"], max_size=None)
        self.bytes, self.messages = 0, []  # of each message: when it came [s], and what it says
        self.keeps = True  # all that it hears, not only the last of each kind about each thing
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.send(CAMERA)

    def send(self, message: dict) -> None:
        """Says something to the server."""
        import msgspec

        self._socket.send(msgspec.msgpack.encode(message))

    def close(self) -> None:
        """Is gone."""
        self._socket.close()
        self._thread.join(timeout=5)

    def heard(self, kind: str, name: str = "") -> list[dict]:
        """All messages of a type, and of a node of the scene if it is named."""
        found = (said for _, said in tuple(self.messages) if said["type"] == kind)
        return [said for said in found if not name or said.get("name") == name]

    def drag(self, finger: int, position: np.ndarray, phase: str = "update") -> None:
        """Holds a fingertip's handle at `position` (3,) [m, palm frame]; `phase` is start, update or end."""
        name = f"/hand/handle_{finger}"
        made, placed = (self.heard(kind, name)[-1] for kind in ("IcosphereMessage", "SetPositionMessage"))
        turned = self.heard("SetOrientationMessage", "/hand")
        wrist = turned[-1]["wxyz"] if turned else wrists.POSES["palm up"]
        ways = {"start": placed["position"], "end": UNIT * position}
        places = {f"{end}_position": tuple(map(float, wrists.rotate(wrist, way))) for end, way in ways.items()}
        screen = {f"{end}_screen_pos": (0.0, 0.0) for end in ways}
        self.send({
            "type": "SceneNodeDragMessage", "name": name, "owner": made.get("owner", ""), "phase": phase,
            "instance_index": None, "button": "left", "modifier": None, **places, **screen,
        })  # fmt: skip

    def _listen(self) -> None:
        import msgspec
        import zstandard
        from websockets.exceptions import ConnectionClosed

        unpack = zstandard.ZstdDecompressor()
        try:
            for raw in self._socket:
                self.bytes += len(raw)
                size, packed = (int.from_bytes(raw[i : i + 8], "little") for i in (0, 8))
                window = msgspec.msgpack.decode(unpack.decompress(raw[16 : 16 + packed], max_output_size=size))
                now = time.perf_counter()
                self.messages += [(now, said) for said in window["messages"]]
                if not self.keeps and len(self.messages) > 10000:
                    last = {(said["type"], said.get("name")): (when, said) for when, said in self.messages}
                    self.messages = list(last.values())
        except ConnectionClosed:
            return  # by either side: there is nothing more to hear


def wait(until, seconds: float = 60.0):
    """Until something is so; returns it. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not (found := until()):
        if time.monotonic() > end:
            raise TimeoutError("it did not happen")
        time.sleep(0.002)
    return found


def served(viewer: Viewer) -> tuple[threading.Event, threading.Thread]:
    """Serves in a thread until the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=viewer.serve, args=(stop.is_set,), daemon=True)
    thread.start()
    return stop, thread


def resident() -> int | None:
    """Megabytes of memory that this process holds, where Linux tells."""
    pages = Path("/proc/self/statm")
    return round(int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6) if pages.exists() else None


def times(action, count: int) -> dict[str, float]:
    """Milliseconds of each of `count` calls, p50 and p99."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begin)
    return spread(taken)


def spread(seconds: list[float]) -> dict[str, float]:
    """Quantiles in ms."""
    return {f"p{q}_ms": round(1000 * float(np.percentile(seconds, q)), 2) for q in (50, 99)}


def answers(viewer: Viewer, client: Client, drags: int) -> list[float]:
    """Seconds from a handle's new place to the first picture in which that finger has moved, for `drags` of them."""
    session, link = viewer.session, viewer.stage.links
    chain, finger, taken = session.hand.chain, 1, []
    moved = {link[body].name for body in ancestors(chain.parent, chain.keypoint_body[finger])}
    client.drag(finger, session.tips()[finger], "start")
    for i in range(drags):
        time.sleep(0.5 + 0.1 * i / drags)  # at rest again, and in another part of the step each time
        seen, begin = len(client.messages), time.perf_counter()
        client.drag(finger, session.tips()[finger] + (0.006 if i % 2 else -0.006) * np.array([1.0, 0, 0]))
        still = {said["name"]: said["wxyz"] for said in client.heard("SetOrientationMessage") if said["name"] in moved}

        def answer(seen=seen, still=still):
            for when, said in client.messages[seen:]:
                if said["type"] == "SetOrientationMessage" and said["name"] in moved:
                    if np.abs(np.subtract(said["wxyz"], still[said["name"]])).max() > MOVED:
                        return when
            return None

        taken.append(wait(answer) - begin)
    client.drag(finger, session.tips()[finger], "end")
    return taken


def ancestors(parent: np.ndarray, body: int) -> list[int]:
    """The bodies between the palm and `body`, itself included."""
    chain = []
    while body != 0:
        chain.append(int(body))
        body = parent[body]
    return chain


def end(viewer: Viewer, client: Client, stop: threading.Event, serving: threading.Thread) -> None:
    """Stops the viewer that a thread is serving, and its client."""
    stop.set()
    serving.join()  # Python must not end while a step is under way
    client.close()
    viewer.close()


def main() -> None:
    """Measures and prints one JSON object at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the run with one client")
    parser.add_argument("--drags", type=int, default=30)
    parser.add_argument("--object", default="cube_55")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    world = Simulation(Expert.from_pretrained(), objects=options.object, overrides=QUIET)
    session = Session(world, Controller.from_pretrained(), {"clean": lambda wanted, chance: wanted})
    session.wish(operator="clean")
    viewer = Viewer(session, port=0)
    for _ in range(5):
        viewer.tick()
    step, picture = times(session.tick, 200), times(lambda: viewer.draw(0.5), 200)
    client = Client(viewer.port)
    stop, serving = served(viewer)
    wait(lambda: client.heard("IcosphereMessage", "/hand/handle_1"))
    time.sleep(2)
    client.keeps = False  # the run may be long
    before, steps, late = client.bytes, viewer.pace.steps, viewer.pace.late
    time.sleep(0.2 * options.seconds)
    memory = [resident()]
    time.sleep(0.8 * options.seconds)
    memory.append(resident())
    client.keeps = True
    rate = (viewer.pace.steps - steps) / options.seconds
    sent = (client.bytes - before) / options.seconds
    late = (viewer.pace.late - late) / max(viewer.pace.steps - steps, 1)
    print(f"{rate:.2f} steps a second, {late:.1%} late, {sent:.0f} bytes a second, memory {memory} MB", flush=True)
    session.wish(operator="still", help=ALONE)
    time.sleep(1)
    latency = answers(viewer, client, options.drags)
    end(viewer, client, stop, serving)
    print(json.dumps({
        "device": jax.devices()[0].device_kind, "cores": os.cpu_count(), "load_before": load, "step": step,
        "picture": picture, "steps_per_second_at_most": round(1000 / step["p50_ms"]), "steps_per_second": rate,
        "late_share": round(late, 4), "bytes_per_second": round(sent), "drag_to_motion": spread(latency),
        "memory_mb_after_a_fifth_and_at_the_end": memory,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
