"""Draws the pictures of docs/chain.md from the shipped grasps: python docs/make_pictures.py"""

from pathlib import Path

import numpy as np
from PIL import Image

from dexgen_jax.grasps import library
from dexgen_jax.grasps.goals import GraphConfig
from dexgen_jax.hand import allegro
from dexgen_jax.objects import catalog
from dexgen_jax.physics import engine as engines
from dexgen_jax.viz import raycast

IMAGES = Path(__file__).parent / "images"
SHOWN = "cube_55 rod_33_130 screwdriver_34_80_50 hammer_26_70_30 l_80_60_28 cross_68_32 pear_60_42 disc_76_24".split()
WIDTH, HEIGHT = 220, 200  # pixels of one picture of a sheet


def main() -> None:
    """Writes objects.png, grasps.png and goals.png."""
    hand = allegro.load()
    engine = engines.make(hand, [catalog.load(name) for name in SHOWN], "native")
    grasps = [library.load("shipped", name, hand.name) for name in SHOWN]
    firsts = [draw(engine, i, grasps[i], np.array([len(grasps[i]) // 2])) for i in range(len(SHOWN))]
    save("objects", [firsts[:4], firsts[4:]])
    many = np.linspace(0, len(grasps[0]) - 1, 8).astype(int)
    cubes = [draw(engine, 0, grasps[0], many[i : i + 1]) for i in range(len(many))]
    save("grasps", [cubes[:4], cubes[4:]])
    save("goals", [[draw(engine, i, *with_goal(grasps[i])) for i in (0, 2, 4, 6)]])


def draw(engine: engines.Engine, index: int, grasps: library.ObjectGrasps, row: np.ndarray, goal=None) -> np.ndarray:
    """One grasp (HEIGHT, WIDTH, 3) of object `index`, and as a ghost the object where grasp `goal` has it."""
    qpos = np.concatenate([grasps.q, grasps.object_pose], axis=1)[row]
    ghost = None if goal is None else grasps.object_pose[goal]
    return raycast.render(engine.model(index), qpos, WIDTH, HEIGHT, goal=ghost, supersample=3)[0]


def with_goal(grasps: library.ObjectGrasps) -> tuple[library.ObjectGrasps, np.ndarray, np.ndarray]:
    """What a task may start with: the grasps, one of them, and the median of its goals."""
    graph = library.assemble([grasps], GraphConfig())
    rows = np.array([len(graph) // 3])
    kept = library.ObjectGrasps(
        grasps.hand_name,
        grasps.object_name,
        *(np.asarray(x) for x in (graph.q, graph.target, graph.object_pose)),
        touches=grasps.touches[:0],
        source=grasps.source[:0],
        provenance={},
    )
    return kept, rows, np.asarray(graph.neighbours)[rows, 8]


def save(name: str, rows: list[list[np.ndarray]]) -> None:
    """Writes a sheet of pictures."""
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(sheet).quantize(128).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
