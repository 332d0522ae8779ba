"""Figure 8, settled: every operator, alone and helped in every way, on objects and wrists seen and never seen.

Reproduces: figure 8 of DexterityGen (arXiv:2502.04307) with hundreds of environments a point, intervals, and the
baselines that the paper lacks. Rows that are on disk are not simulated again.
Time: 33 s a row of 128 environments x 60 s on 2 cores, compiling included (42 rows).
Expected: held as long as the clean expert holds, under each of the paper's four corruptions, at one strength.
Command: python experiments/figure8.py --config=experiments/configs/figure8.py:laptop
One row again, in a folder of its own: the command that the page shows beside it.

    <run_dir>/figure8/<split>/rows.jsonl   one line per finished row
    <run_dir>/results.json, figure8.html   all of it, and the page that shows it
"""

import sys

import artefacts
import assist_rows
import evaluation_files as files
import launch
from expert_files import expert_env
from ml_collections import ConfigDict
from worlds import SPLITS

from dexgen_jax.evaluation import figure8_page, helping, operators, report
from dexgen_jax.objects import catalog
from dexgen_jax.run_log import RunLog, atomic_write, to_json

MAIN = ("train", "held_out")  # splits in which every helper and every operator is tried


def run(config: ConfigDict, log: RunLog) -> dict:
    """Simulates what is not on disk yet, split by split, and writes results and page after each."""
    check(config)
    controller = artefacts.controller(config, settings=files.settings(config))
    found: dict[str, list] = {}
    films: list[report.Film] = []
    for split in config.splits:
        place = ConfigDict({**config.to_dict(), "env": {**config.env.to_dict(), "randomization": SPLITS[split]}})
        place.objects = config.held_out if split == "held_out" else config.objects
        env = expert_env(place)
        rows = assist_rows.simulate(place, log, cases(config, split), env, controller, log.folder / split)
        found[split] = [row | {"split": split} for row in rows.values()]
        if split == "train":
            films = [
                files.film_of(log.folder / split, env.engine.scene, name, config.strengths[0], config.film)
                for name in (config.film.operators if config.film.seconds else ())
                if {(name, helping.ALONE, None), (name, helping.CONTROLLER, config.strengths[0])} <= set(rows)
            ]
        publish(config, log, found, films)
    return {"page": log.run_dir / "figure8.html", "rows": sum(map(len, found.values()))}


def cases(config: ConfigDict, split: str) -> list[files.Case]:
    """The rows of a split."""
    everybody = (*config.operators, *(config.own_operators if split in MAIN else ()))
    here = [name for name in config.helpers if split in MAIN or name in helping.SHORT]
    if config.dataset == "none":
        here = [name for name in here if name not in (helping.NEAREST, helping.CLONED)]
    with_strength = [
        (name, strength) for name in here for strength in (config.strengths if name in helping.LEARNED else (None,))
    ]
    return [(operator, *case) for operator in everybody for case in with_strength]


def publish(config: ConfigDict, log: RunLog, found: dict[str, list], films: list[report.Film]) -> None:
    """Writes results.json and the page from the rows there are."""
    listings = files.listings(log.run_dir, ("figure8",))
    names = {split: catalog.names(config.held_out if split == "held_out" else config.objects) for split in found}
    results = {"seed": config.seed, "objects": names, "rows": found, "listings": listings, "command": sys.argv}
    atomic_write(log.run_dir / "results.json", to_json(results) + "\n")
    atomic_write(log.run_dir / "figure8.html", figure8_page.page(results, films))


def check(config: ConfigDict) -> None:
    """Refuses settings that would fail only after minutes."""
    files.settings(config)
    known = (*helping.PLAIN, *helping.LEARNED)
    for setting, names, there in (("splits", config.splits, tuple(SPLITS)), ("helpers", config.helpers, known)):
        for name in names:
            if name not in there:
                raise ValueError(f"config.{setting} has {name!r}; there are: {', '.join(there)}")
    for name in (*config.operators, *config.own_operators):
        operators.parse(name, artefacts.hand(config))
    if set(config.helpers) & set(helping.LEARNED) and not config.strengths:
        raise ValueError(f"config.strengths is {config.strengths}: help needs a strength, 0 or above")
    for split in config.splits:
        if not cases(config, split):
            raise ValueError(
                f"nothing to simulate in {split!r}: config.helpers is {config.helpers}, of which what imitates needs "
                f"--config.dataset=FOLDER, and any but {', '.join(helping.SHORT)} one of the splits {', '.join(MAIN)}"
            )


if __name__ == "__main__":
    launch.main(run, again=True)
