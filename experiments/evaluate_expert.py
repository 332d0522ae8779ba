"""Measures an expert beside policies that learned nothing, by object and by gravity, and tells where its minutes go.

Reproduces: nothing of the paper, which shows no expert by itself; the figures are what its experts must have been.
Time: about 2 minutes for each set of objects on 2 cores (`:laptop`, 256 environments x 60 s, four policies).
Expected: several times the goals a minute of the best baseline on `train`, at least half of it on `held_out`.
Command: python experiments/evaluate_expert.py --config=experiments/configs/evaluate_expert.py:laptop
"""

import functools
import sys

import artefacts
import evaluation_files as files
import jax
import launch
from expert_files import build_env, load_expert, looking_ahead, shoot
from ml_collections import ConfigDict

from dexgen_jax.evaluation import expert, tries
from dexgen_jax.objects import catalog
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.run_log import RunLog, atomic_write, to_json
from dexgen_jax.viz import film, plots


def run(config: ConfigDict, log: RunLog) -> dict:
    """Scores every set of objects, draws the learning curve, films the expert on the first set."""
    learned, env_config = load_expert(config)
    scores, steps = {}, round(config.seconds * CONTROL_HZ)
    for which in config.sets:
        env = build_env(ConfigDict({**env_config.to_dict(), "objects": which}))
        choices, names = expert.actors(env, learned), catalog.names(which)
        ahead = looking_ahead(env, learned, config)  # for the expert alone: the others have nothing to plan with

        @functools.partial(jax.jit, static_argnums=0, compiler_options=env.engine.compiler_options)
        def simulate(env, number, key, choices=choices):
            return expert.simulate(env, list(choices.values()), number, key, config.num_envs, steps)

        rows, tolerances = {}, getattr(env, "tolerances", None)  # fine rotation has none
        with log.progress(f"evaluating on {which}", len(choices), "policies") as bar:
            for number, name in enumerate(choices):
                key = jax.random.PRNGKey(config.seed + 1)  # the same starts for all of them
                events = simulate(ahead if name == "expert" else env, number, key)
                rows[name] = expert.summarise(jax.device_get(events), names, tolerances)
                bar.advance(1, goals_per_minute=rows[name]["goals_per_minute"]["value"])
        graph = expert.graph_quantiles(env.library)
        scores[which] = {
            "policies": rows,
            "comparison": expert.compare(rows),
            "goal_graph": graph,
            "task": env_config.env,
        }
        minutes = f"## Where the minutes go: {which}\n\n" + tries.table(rows["expert"]["tries"], graph)
        print(minutes, file=sys.stderr)  # the last line of the output is the result
        atomic_write(log.folder / f"minutes_{which.replace(',', '_')}.md", minutes)
        atomic_write(log.folder / "scores.json", to_json(scores, indent=2) + "\n")
    elsewhere = None if config.expert == "run" else artefacts.folder(config, "expert")
    if curves := files.learning_curves(log.run_dir, elsewhere):
        atomic_write(log.folder / "curve.svg", plots.learning(curves))
    env = build_env(ConfigDict({**env_config.to_dict(), "objects": config.sets[0]}))
    env = looking_ahead(env, learned, config)
    look = film.FilmConfig(config.film.width, config.film.height, seconds=config.film.seconds)
    shot = shoot(env, learned, config.seed, look, log.folder, config.film.traced)[0] if look.seconds else None
    found = {which: short(score) for which, score in scores.items()}
    return {"sets": found, "film": shot, "scores": log.folder / "scores.json"}


def short(score: dict) -> dict:
    """What is worth a line on the screen."""
    kept = ("goals_per_minute", "hold_time", "tip_speed", "turn_rate")  # the last in fine rotation
    rows = {name: {k: row[k] for k in kept if k in row} for name, row in score["policies"].items()}
    return {**score["comparison"], **rows}


if __name__ == "__main__":
    launch.main(run)
