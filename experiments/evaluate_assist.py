"""Compares clumsy operators alone with the same operators helped by the controller, and writes report.html.

Reproduces: figure 8 of DexterityGen (arXiv:2502.04307), in hundreds of environments and with exact intervals.
Time: 10 to 40 s a row on 2 cores, after minutes of compiling (`:laptop`, 128 environments x 30 s, 14 rows).
Expected: the noisy operator holds the object at least 3 times longer with help, intervals apart.
Command: python experiments/evaluate_assist.py --config=experiments/configs/evaluate_assist.py:laptop
"""

import artefacts
import assist_rows
import evaluation_files as files
import launch
from expert_files import expert_env
from ml_collections import ConfigDict

from dexgen_jax.evaluation import assist, helping, report
from dexgen_jax.run_log import RunLog, atomic_write


def run(config: ConfigDict, log: RunLog) -> dict:
    """Simulates the rows that are not on disk yet, then compares, films and reports."""
    check(config)
    env = expert_env(config)
    controller = artefacts.controller(config, settings=files.settings(config))
    rows = list(assist_rows.simulate(config, log, cases(config), env, controller, log.folder).values())
    groups = report.by_operator(rows)
    compared = {name: assist.compare(groups[name]) for name in config.operators}
    scene, look = env.engine.scene, config.film
    best = {name: compared[name]["best_strength"] for name in look.operators}
    elsewhere = None if config.expert == "run" else artefacts.folder(config, "expert")
    page = report.Report(
        rows=rows,
        comparisons=compared,
        curves=files.learning_curves(log.run_dir, elsewhere),
        films=[files.film_of(log.folder, scene, name, best[name], look) for name in look.operators],
        facts=files.facts(config, env, controller),
        listings=files.listings(log.run_dir),
    )
    atomic_write(log.run_dir / "report.html", report.page(page))
    kept = ("drops", "goals", "hold_time", "goals_per_minute")
    references = {name: {key: groups[name][0][key] for key in kept} for name in config.references}
    return {"report": log.run_dir / "report.html", "operators": compared, "references": references}


def cases(config: ConfigDict) -> list[files.Case]:
    """The rows to simulate: references are only watched, operators also helped, without and with the controller."""
    plain = [(helper, None) for helper in (helping.ALONE, helping.LOW_PASSED, helping.TURNED_DOWN)]
    helped = plain + [(helping.CONTROLLER, strength) for strength in config.strengths]
    watched = [(name, helping.ALONE, None) for name in config.references if name not in config.operators]
    return watched + [(name, *case) for name in config.operators for case in helped]


def check(config: ConfigDict) -> None:
    """Refuses settings that would fail only after all rows have been simulated."""
    files.settings(config)
    if not any(strength > 0 for strength in config.strengths):
        raise ValueError(f"config.strengths is {config.strengths}: help needs a strength above 0")
    for name in config.film.operators:
        if name not in config.operators:
            raise ValueError(f"cannot film {name!r}: config.operators are {', '.join(config.operators)}")


if __name__ == "__main__":
    launch.main(run)
