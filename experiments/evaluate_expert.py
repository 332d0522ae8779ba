"""Measures an expert beside policies that learned nothing: by object, by gravity, by how far the goal was.

Reproduces: nothing of the paper, which shows no expert by itself; the figures are what its experts must have been.
Time: about 2 minutes for each set of objects on 2 cores (`:laptop`, 256 environments x 60 s, four policies).
Expected: several times the goals a minute of the best yardstick on `train`, at least half of it on `held_out`.
Command: python experiments/evaluate_expert.py --config=experiments/configs/evaluate_expert.py:laptop
"""

from pathlib import Path

import evaluation_files as files
import jax
import launch
import numpy as np
from anygrasp_ppo import build_env
from collect_dataset import load_expert
from ml_collections import ConfigDict

from dexgen_jax.evaluation import assist, expert, operators
from dexgen_jax.objects import catalog
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.run_log import RunLog, atomic_write, to_json
from dexgen_jax.viz import film, plots, video


def run(config: ConfigDict, log: RunLog) -> dict:
    """Scores every set of objects, draws the learning curve, films the expert on the first set."""
    learned, env_config = load_expert(config)
    scores, steps = {}, round(config.seconds * CONTROL_HZ)
    for which in config.sets:
        env = build_env(ConfigDict({**env_config.to_dict(), "objects": which}))
        choices, names = expert.actors(env, learned), catalog.names(which)
        simulate = jax.jit(
            lambda number, key, env=env, choices=choices: expert.simulate(
                env, list(choices.values()), number, key, config.num_envs, steps
            )
        )
        rows = {}
        with log.progress(f"evaluating on {which}", len(choices), "policies") as bar:
            for number, name in enumerate(choices):
                events = simulate(number, jax.random.PRNGKey(config.seed + 1))  # the same starts for all of them
                rows[name] = expert.summarise(jax.device_get(events), names)
                bar.advance(1, goals_per_minute=rows[name]["goals_per_minute"]["value"])
        scores[which] = {"policies": rows, "comparison": expert.compare(rows)}
        atomic_write(log.folder / "scores.json", to_json(scores, indent=2) + "\n")
    if curves := files.learning_curves(log.run_dir, config.expert):
        atomic_write(log.folder / "curve.svg", plots.learning(curves))
    env = build_env(ConfigDict({**env_config.to_dict(), "objects": config.sets[0]}))
    return {
        "sets": {which: short(score) for which, score in scores.items()},
        "film": shoot(env, learned, config, log.folder / "expert.mp4") if config.film.seconds else None,
        "scores": log.folder / "scores.json",
    }  # fmt: skip


def short(score: dict) -> dict:
    """What is worth a line on the screen."""
    kept = ("goals_per_minute", "hold_time", "tip_speed")
    return {**score["comparison"], **{name: {k: row[k] for k in kept} for name, row in score["policies"].items()}}


def shoot(env, learned, config: ConfigDict, path: Path) -> Path:
    """Films the expert in one environment, chosen for its typical number of drops."""
    look, steps = config.film, round(config.film.seconds * CONTROL_HZ)
    policy = lambda obs, key: learned.act(obs)  # noqa: E731
    simulate = jax.jit(
        lambda key: assist.simulate(env, policy, operators.clean(), key, look.traced, steps, look.traced)[1]
    )
    trace = jax.tree.map(np.asarray, simulate(jax.random.PRNGKey(config.seed + 1)))
    shown = film.Look(look.width, look.height, seconds=look.seconds)
    frames = film.compare(env.engine.scene, {"expert": trace}, film.typical(trace), shown)
    video.write_mp4(path, frames, shown.fps)
    return path


if __name__ == "__main__":
    launch.main(run)
