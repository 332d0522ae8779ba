"""The page of figure 8: what each helper was worth to each operator, in each split, from rows with their intervals.

Differences are of the same starts, so their intervals are of pairs: see `intervals.paired_ratio`.
"""

import dataclasses
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dexgen_jax.evaluation import helping, intervals, report
from dexgen_jax.viz import plots

# Seconds held and goals of a trial, read off figure 8 of arXiv:2502.04307. Each point is one run of 1000 s.
PAPER: dict[str, dict[str, tuple[float, float]]] = {
    "noisy 0.75": {
        "unassisted": (14.9, 0.65), "0": (34.5, 0.30), "150": (111, 1.11), "300": (37.0, 0.23), "750": (45.3, 1.90),
        "1500": (20.0, 1.32), "3000": (62.4, 5.63),
    },
    "noisy 1.5": {
        "unassisted": (5.2, 0), "0": (33.2, 0.05), "150": (111, 0.67), "300": (66.5, 1.07), "750": (13.8, 0.32),
        "1500": (30.2, 1.09), "3000": (25.6, 0.61),
    },
    "slow 0.5": {
        "unassisted": (6.1, 0), "0": (66.9, 0), "150": (111, 0), "300": (143, 0), "750": (500, 0), "1500": (200, 0),
        "3000": (90.8, 0),
    },
    "slow 1": {
        "unassisted": (3.3, 0), "0": (62.4, 0.31), "150": (29.6, 0), "300": (41.5, 0), "750": (90.9, 0.09),
        "1500": (143, 1.00), "3000": (333, 7.33),
    },
}  # fmt: skip
METRICS = {  # of a row: title, format
    "goals_per_drop": ("goals per drop", "{:.1f}"),
    "seconds_to_goal": ("s to a goal", "{:.1f}"),
    "command_kept_mm": ("command missed, mm", "{:.1f}"),
    "intervention_rad": ("intervention, rad", "{:.3f}"),
    "jerk": ("jerk, rad/s3", "{:.0f}"),
    "dispersion": ("dispersion", "{:.1f}"),
}


def page(results: dict[str, Any], films: Sequence[report.Film] = ()) -> str:
    """The HTML text; `results` is what results.json holds."""
    found, command = results["rows"], results.get("command", ())
    sections = ["<h1>Figure 8: who is helped, by what, and where</h1>"]
    for split in [name for name in ("train", "held_out") if name in found]:
        sections += _split(split, found[split], results.get("objects", {}).get(split, ()))
    sections += map(report.figure_of_film, films)
    if len(found) > 1:
        told = [f"<p class=lead>{sentence(name, ratio)}</p>" for name, ratio in together(found.values()).items()]
        sections += ["<h2>All of this page together</h2>", *told]
    first = next(iter(found.values()))
    ours = {name: rows for name, rows in report.by_operator(first).items() if name in PAPER}
    if ours:
        ours = {name: [row for row in rows if _shown(row)] for name, rows in ours.items()}
        sections += ["<h2>Beside the paper</h2>", _figure(plots.beside(PAPER, ours), _BESIDE)]
    if len(found) > 2:
        sections += ["<h2>Objects and wrists of all kinds</h2>", *_splits(found)]
    for split, rows in found.items():
        sections += [f"<h2>All rows: {report.text(split)}</h2>", table(rows, command)]
    for title, listing in results["listings"].items():
        sections.append(f"<details><summary>{report.text(title)}</summary><pre>{report.text(listing)}</pre></details>")
    return report.document("Figure 8", sections)


def compare(rows: list[dict[str, Any]], helper: str = helping.CONTROLLER) -> dict[str, dict[str, dict[str, float]]]:
    """By operator: how many times as long it holds, and as many goals it reaches, helped as alone.

    Of the environments in pairs, with bootstrap intervals, at the first of several strengths. Operators without both
    rows are left out.
    """
    return together([rows], helper)


def together(
    found: Iterable[list[dict[str, Any]]], helper: str = helping.CONTROLLER
) -> dict[str, dict[str, dict[str, float]]]:
    """Like `compare`, of the environments of several splits or seeds at once."""
    pairs: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for rows in found:
        for name, group in report.by_operator(rows).items():
            alone, helped = (
                next((row for row in group if row["helper"] == who), None) for who in (helping.ALONE, helper)
            )
            if alone and helped:
                pairs.setdefault(name, []).append((alone["each"], helped["each"]))
    ratios = {}
    for name, both in pairs.items():
        drops, fewer, goals, more = (
            np.concatenate([pair[side][kind] for pair in both]) for kind in ("drops", "goals") for side in (0, 1)
        )
        ratios[name] = {
            "hold": dataclasses.asdict(intervals.paired_ratio(drops, fewer)),
            "goals": dataclasses.asdict(intervals.paired_ratio(more, goals)),
        }
    return ratios


def sentence(name: str, ratio: dict[str, dict[str, float]]) -> str:
    """Who is helped and who is hurt, in one sentence."""
    parts = _verdict(ratio["hold"], "as long", "drop"), _verdict(ratio["goals"], "as many goals", "goal")
    return f"<b>{report.text(name)}</b>, with the controller: {parts[0]}, {parts[1]}."


def _verdict(estimate: dict[str, float], what: str, event: str) -> str:
    if report.of_nothing(estimate):
        return f"not known how many times {what} (no {event} on either side)"
    value, low, high = (report.number(estimate[name]) for name in ("value", "low", "high"))
    return f"{value} times ({low} to {high}) {what}"


def by_family(
    alone: dict[str, Any], helped: dict[str, Any], objects: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """By family of object: how many times as long it is held, and as many goals are reached, helped as alone.

    `alone` and `helped` are rows of one operator; `objects` are the names that their `by_object` has the numbers of.
    Intervals are exact for counts: the environments of a family are too few for pairs.
    """
    families: dict[str, list[str]] = {}
    for number, name in enumerate(objects):
        if str(number) in alone["by_object"] and str(number) in helped["by_object"]:
            families.setdefault(name.split("_")[0], []).append(str(number))

    def total(row: dict[str, Any], numbers: list[str]) -> dict[str, Any]:
        counts = [row["by_object"][number] for number in numbers]
        return {what: sum(one[what] for one in counts) for what in ("drops", "goals", "seconds")}

    found: dict[str, dict[str, dict[str, float]]] = {"hold": {}, "goals": {}}
    for family, numbers in families.items():
        one, two = total(alone, numbers), total(helped, numbers)
        hold = intervals.hold_time_ratio(two["drops"], two["seconds"], one["drops"], one["seconds"])
        # Goals a minute are to goals what one over the seconds held is to drops.
        goals = intervals.hold_time_ratio(one["goals"], one["seconds"], two["goals"], two["seconds"])
        found["hold"][family], found["goals"][family] = map(dataclasses.asdict, (hold, goals))
    return found


def _split(split: str, rows: list[dict[str, Any]], objects: Sequence[str]) -> list[str]:
    groups = report.by_operator(rows)
    helped = {
        name: [row for row in group if _shown(row)]
        for name, group in groups.items()
        if any(row["helper"] == helping.CONTROLLER for row in group)
    }
    clean = next((row for row in rows if row["operator"] == "clean" and row["helper"] == helping.ALONE), None)
    compared = compare(rows)
    parts = [f"<h2>{report.text(split)} objects</h2>"]
    parts += [f"<p class=lead>{sentence(name, ratio)}</p>" for name, ratio in compared.items()]
    known = {name: group for name, group in helped.items() if name in PAPER}
    if known:
        parts.append(_figure(plots.plane(known, clean), report.PLANE))
    for name in [name for name in ("noisy 1.5",) if name in groups]:
        holds = {row["helper"]: row["holds"] for row in groups[name] if row["strength"] in (None, 1.0)}
        parts.append(_figure(plots.survival(holds), f"How long a grasp lasts under the {name} operator."))
        by_helper = {row["helper"]: row for row in reversed(groups[name])}  # the first of several strengths
        if helping.ALONE in by_helper and helping.CONTROLLER in by_helper and objects:
            families = by_family(by_helper[helping.ALONE], by_helper[helping.CONTROLLER], objects)
            parts.append(_figure(plots.ratios(families, f"{name}: helped over alone, by family of object"), _FAMILIES))
    for quantity, what in (("hold", "seconds held per drop"), ("goals", "goals a minute")):
        compared_by = {
            who: {name: ratio[quantity] for name, ratio in compare(rows, who).items()}
            for who in (helping.TURNED_DOWN, helping.CLONED, helping.CONTROLLER)
        }
        shown = {who: group for who, group in compared_by.items() if group}
        if shown:
            parts.append(_figure(plots.ratios(shown, f"{what}: helped over alone"), _RATIOS))
    return parts


def _splits(found: dict[str, list]) -> list[str]:
    figures, compared = [], {split: compare(rows) for split, rows in found.items()}
    names = [name for name in PAPER if any(name in ratios for ratios in compared.values())]
    for quantity, what in (("hold", "seconds held per drop"), ("goals", "goals a minute")):
        groups = {
            name: {split: ratios[name][quantity] for split, ratios in compared.items() if name in ratios}
            for name in names
        }
        if groups:
            figures.append(_figure(plots.ratios(groups, f"{what}: helped over alone"), _RATIOS))
    return figures


def again(command: Sequence[str], row: dict[str, Any]) -> str:
    """The command that simulates one row of a run again; `command` is the run's, a script and its flags."""
    own = {"run_dir": "runs/again", "splits": (row.get("split", "train"),), "operators": (row["operator"],)}
    own |= {"own_operators": (), "helpers": (row["helper"],)}
    own |= {"strengths": (row["strength"],)} if row["strength"] is not None else {}
    kept = [part for part in command if part.partition("=")[0].removeprefix("--config.") not in {*own, "strengths"}]
    parts = ["python", *kept, *(f"--config.{name}={value}" for name, value in own.items())]
    return " ".join(part if part == shlex.quote(part) else f'"{part}"' for part in parts)  # names are in single quotes


def table(rows: list[dict[str, Any]], command: Sequence[str] = ()) -> str:
    """All figures of the rows, and how to simulate each again where the run's `command` is known."""
    head = "<tr><th>operator<th>help<th>seconds held per drop<th>drops<th>goals per minute"
    head += "".join(f"<th>{title}" for title, _ in METRICS.values())
    lines = []
    for name, group in report.by_operator(rows).items():
        for i, row in enumerate(group):
            cells = [
                form.format(row[metric]) if report.finite(row[metric]) else "-" for metric, (_, form) in METRICS.items()
            ]
            helped = row["helper"] if row["strength"] in (None, 1.0) else f"{row['helper']}, {row['strength']:g}"
            lines.append(
                f"<tr><td class='name first'>{report.text(name) if i == 0 else ''}<td>{report.text(helped)}"
                f"<td>{report.with_interval(row['hold_time'])}<td>{row['drops']}"
                f"<td>{report.with_interval(row['goals_per_minute'])}"
                + "".join(f"<td>{cell}" for cell in cells)
                + (f"<td>{_AGAIN.format(report.text(again(command, row)))}" if command else "")
            )
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table></div>"


def _shown(row: dict[str, Any]) -> bool:
    return row["helper"] in helping.SHORT


def _figure(drawing: str, caption: str) -> str:
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


_AGAIN = "<details><summary>again</summary><code>{}</code></details>"
_FAMILIES = "Right of the line the helped operator does better. Bars are exact 95% intervals of the counts."
_BESIDE = (
    "Orange squares: the paper's figure 8, read off, each one run of 1000 s, goals of a trial; hollow is unassisted, "
    "the others are its alphas. Blue: ours on the train objects, goals a minute; hollow is alone. Bars are 95% "
    "intervals. Hands, experts, objects and goals are not the same, so heights compare in kind and not in number."
)
_RATIOS = "Right of the line the helped operator does better. Bars are 95% bootstrap intervals over environments."
