"""A film of the shipped expert at true speed, looking ahead and regrasping: three objects, two minutes.

A minute with the palm up, and one with the palm down.

Time: 3 minutes of one slow core with --seconds=2, nearly all of it compiling. Expected: docs/images/expert.mp4, and on
the last line one JSON object with the goals and drops that it shows.
Command: python benchmarks/expert_film.py [--seed=0] [--seconds=60] [--out=docs/images/expert.mp4]

Of 8 environments each, the one is shown whose number of drops is nearest to the mean.
"""

import argparse
import json
import math

import jax
import numpy as np

from dexgen_jax import envs
from dexgen_jax.evaluation import assist, benchmark, operators
from dexgen_jax.experts.lookahead import Lookahead, LookaheadConfig
from dexgen_jax.experts.networks import Expert
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.viz import film, video

OBJECTS = ("cube_55", "egg_52_60_64", "hammer_26_70_30")
GRAVITY = {  # rad from straight into the palm
    "palm up": {"gravity_angle": math.pi / 3},
    "palm down": {"gravity_least_angle": 2 * math.pi / 3},
}
LOOKAHEAD = LookaheadConfig(candidates=3, regrasps=True, drop_cost=3.0)
TRACED = 8


def shot(thing: str, wrist: str, expert: Expert, seed: int, seconds: float) -> tuple[np.ndarray, assist.Trace]:
    """The pictures of one object (frames, height, width, 3), and what happened in them, fields (frames, ...)."""
    changes = {**expert.config["env"], **benchmark.GOALS, "episode_steps": 100_000}
    changes["randomization"] = {**changes["randomization"], **GRAVITY[wrist]}
    task = envs.load("anygrasp", objects=thing, grasps="shipped", overrides=changes)
    env, steps = Lookahead(task, expert, LOOKAHEAD), round(seconds * CONTROL_HZ)
    policy = lambda obs, key: expert.act(obs)
    simulate = lambda key: assist.simulate(env, policy, operators.clean(), key, TRACED, steps, TRACED)[1]
    simulate = jax.jit(simulate, compiler_options=task.engine.compiler_options)
    trace = jax.tree.map(np.asarray, simulate(jax.random.PRNGKey(seed)))
    shown = film.typical(trace)
    look = film.FilmConfig(240, 240, seconds=seconds)
    pictures = film.compare(task.engine.scene, {f"{thing.split('_')[0]}, {wrist}": trace}, shown, look)
    return pictures, jax.tree.map(lambda x: x[:, shown], trace)


def main() -> None:
    """Reads the command line, makes the film."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each wrist")
    parser.add_argument("--out", default="docs/images/expert.mp4")
    told = parser.parse_args()
    expert, parts, happened = Expert.from_pretrained(), [], {}
    for wrist in GRAVITY:
        tiles = []
        for thing in OBJECTS:
            pictures, trace = shot(thing, wrist, expert, told.seed, told.seconds)
            tiles.append(pictures)
            happened[f"{thing}, {wrist}"] = {"goals": int(trace.goals.sum()), "drops": int(trace.drops.sum())}
            print(f"{thing}, {wrist}: {happened[f'{thing}, {wrist}']}", flush=True)
        parts.append(video.beside(*tiles))
    video.write_mp4(told.out, np.concatenate(parts), CONTROL_HZ)
    print(json.dumps({"film": told.out, "seconds": told.seconds * len(GRAVITY), "happened": happened}))


if __name__ == "__main__":
    main()
