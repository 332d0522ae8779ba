"""The README's film, made by the viewer: one shaken command alone and helped, the same seed beside itself.

Time: under ten minutes where the browser draws without a graphics card. Expected: docs/images/shaken.webp, and on the
last line one JSON object with what happened.
Command: python benchmarks/viewer_film.py [--seed=0] [--seconds=20] [--out=docs/images/shaken.webp]

Needs the extra `viz`, playwright (`pip install playwright`) and a chromium, which draws the pictures.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dexgen_jax.controller.controller import Controller
from dexgen_jax.experts.networks import Expert
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.viz import video
from dexgen_jax.viz.moment import Moment
from dexgen_jax.viz.session import ALONE, HELPED, SHAKE, Session
from dexgen_jax.viz.simulation import Simulation
from dexgen_jax.viz.viewer import Viewer

WIDTH, HEIGHT = 384, 320  # of each of the two pictures
CLOSER = 0.75  # than the page begins
ALARM = 10  # control steps for which a drop is pointed out
# Software rendering, for a machine without a graphics card.
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def lived(session: Session, kind: str, seed: int, steps: int) -> list[tuple[Moment, np.ndarray, bool, int]]:
    """Of each control step: what was seen, the wrist, whether the picture jumps here, and the drops so far."""
    session.wish(operator="clean", wrist="tumble", shake=SHAKE, help=kind)
    session.reset(seed)
    session.tick()
    film = []
    for _ in range(steps):
        jump = session.before is session.moment
        film.append((session.moment, session.wrist, jump, session.account.tallies[kind].drops))
        session.tick()
    return film


def drawn(viewer: Viewer, client, film: list, title: str) -> np.ndarray:
    """The pictures of a film (frames, height, width, 3), with a caption that counts."""
    pictures, drops = [], [drops for *_, drops in film]
    for moment, wrist, jump, _ in film:
        viewer.stage.advance(moment, wrist, jump)
        viewer.draw(1.0)
        if len(pictures) % 10 == 0:
            print(f"{title}: {len(pictures)} of {len(film)} pictures", file=sys.stderr)
        picture = client.get_render(HEIGHT, WIDTH, timeout=120)[..., :3]
        if not pictures:  # the browser may have drawn it before the first moment reached it
            picture = client.get_render(HEIGHT, WIDTH, timeout=120)[..., :3]
        pictures.append(picture)
    fallen = [drops[i] > drops[max(i - ALARM, 0)] for i in range(len(film))]
    notes = [f"{i / CONTROL_HZ:4.1f} s   {n} drop{'' if n == 1 else 's'}" for i, n in enumerate(drops)]
    return video.add_caption(np.stack(pictures), title, notes, np.array(fallen))


def main() -> None:
    """Lives both, draws them, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--object", default="cube_55")
    parser.add_argument("--out", default="docs/images/shaken.webp")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    world = Simulation(Expert.from_pretrained(), objects=options.object)
    session = Session(world, Controller.from_pretrained(), {"clean": lambda wanted, chance: wanted})
    films = {kind: lived(session, kind, options.seed, round(options.seconds * CONTROL_HZ)) for kind in (ALONE, HELPED)}
    viewer = Viewer(session, port=0)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(viewer.address)
        while not (desks := tuple(viewer._desks.values())):
            page.wait_for_timeout(100)
        for desk in desks:
            desk.remove()  # nobody drags a finger here
        page.wait_for_timeout(5000)  # light and floor arrive
        camera = desks[0].client.camera
        eye, look_at = camera.position, camera.look_at
        camera.position, camera.look_at = look_at + CLOSER * (eye - look_at), look_at
        tiles = [drawn(viewer, desks[0].client, film, f"shaken, {kind}") for kind, film in films.items()]
        browser.close()
    viewer.close()
    frames = [Image.fromarray(frame) for frame in video.beside(*tiles)]
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    period = round(1000 / CONTROL_HZ)
    frames[0].save(options.out, save_all=True, append_images=frames[1:], duration=period, loop=0, quality=60, method=4)
    drops = {kind: film[-1][-1] for kind, film in films.items()}
    size = Path(options.out).stat().st_size
    print(json.dumps({"out": options.out, "bytes": size, "seed": options.seed, "drops": drops}))


if __name__ == "__main__":
    main()
