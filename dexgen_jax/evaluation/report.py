"""The report: one HTML page that needs nothing else, no network, no folder beside it."""

import dataclasses
import html
import math
from pathlib import Path
from typing import Any

from dexgen_jax.viz import plots, video

REFERENCE_KINDS = {"clean": "the expert itself", "still": "zero action", "random": "random action"}


@dataclasses.dataclass(frozen=True)
class Film:
    """An mp4 and what it shows."""

    path: Path
    caption: str


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything on the page. Rows and comparisons are those of `assist.summarise` and `assist.compare`."""

    rows: list[dict[str, Any]]
    comparisons: dict[str, dict[str, Any]]  # by operator
    films: list[Film]
    curves: list[plots.Curve]
    facts: dict[str, str]  # name -> one line: tolerances, sizes, seed, ...
    listings: dict[str, str]  # title -> text: config, versions, commands


def page(report: Report) -> str:
    """The HTML text."""
    groups = by_operator(report.rows)
    helped = {name: rows for name, rows in groups.items() if name in report.comparisons}
    clean = next((row for row in report.rows if row["operator"].startswith("clean")), None)
    sections = [
        "<h1>Does the controller help?</h1>",
        *(f"<p class=lead>{headline(name, c)}</p>" for name, c in report.comparisons.items()),
        f"<figure>{plots.plane(helped, clean)}<figcaption>{PLANE}</figcaption></figure>",
        *map(figure_of_film, report.films),
        "<h2>All rows</h2>",
        _table(groups, report.comparisons),
        f"<p class=note>{_NOTE}</p>",
    ]
    if report.curves:
        sections += ["<h2>How it was learned</h2>", f"<figure>{plots.learning(report.curves)}</figure>"]
    facts = "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in report.facts.items())
    sections += ["<h2>How it was measured</h2>", f"<dl>{facts}</dl>"]
    for title, listing in report.listings.items():
        sections.append(f"<details><summary>{text(title)}</summary><pre>{text(listing)}</pre></details>")
    return document("dexgen_jax report", sections)


def document(title: str, sections: list[str]) -> str:
    """The HTML text of a whole page."""
    body = "\n".join(sections)
    return (
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{text(title)}</title>\n"
        f'<meta name=viewport content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def by_operator(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows grouped by operator, in the order in which operators first appear."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["operator"], []).append(row)
    return groups


def headline(name: str, comparison: dict[str, Any]) -> str:
    """What the help was worth to one operator, in two sentences: how long it holds, and how many goals it reaches."""
    alone, helped = comparison["alone"], comparison["helped"]
    return (
        f"The <b>{text(name)}</b> operator holds an object for <b>{_hold(helped['hold_time'])}</b> per drop with "
        f"help, {_hold(alone['hold_time'])} alone: {_ratio(comparison['hold_time_ratio'], 'as long', 'drop')}. It "
        f"reaches <b>{number(helped['goals_per_minute']['value'])}</b> goals a minute instead of "
        f"{number(alone['goals_per_minute']['value'])}: {_ratio(comparison['goals_ratio'], 'as many', 'goal')}."
    )


def _ratio(ratio: dict[str, Any], what: str, event: str) -> str:
    value, low, high = ratio["value"], ratio["low"], ratio["high"]
    if of_nothing(ratio):
        return f"how many times {what} is not known, with no {event} on either side"
    if not finite(value):
        return f"at least {number(low)} times {what}, with 95% confidence"
    verdict = "" if low > 1 or high < 1 else "; within counting noise, no difference"
    return f"<b>{number(value)} times {what}</b> (95% interval {number(low)} to {number(high)}{verdict})"


def _table(groups: dict[str, list[dict[str, Any]]], comparisons: dict[str, dict[str, Any]]) -> str:
    head = "<tr><th>operator<th>help<th>seconds held per drop<th>drops<th>goals per minute"
    head += "<th>follows<th>overruled<th>simulated"
    lines = []
    for name, rows in groups.items():
        best = comparisons.get(name, {}).get("best_strength")
        for i, row in enumerate(rows):
            kind = name.split()[0]
            who = f"{text(name)} <small>{REFERENCE_KINDS.get(kind, '')}</small>" if i == 0 else ""
            mark = " class=best" if row["strength"] is not None and row["strength"] == best else ""
            first = " first" if i == 0 else ""
            lines.append(
                f"<tr{mark}><td class='name{first}'>{who}<td>{_help(row)}<td>{with_interval(row['hold_time'])}"
                f"<td>{row['drops']}<td>{with_interval(row['goals_per_minute'])}{_following(row.get('following'))}"
                f"<td>{row['seconds'] / 60:.0f} min"
            )
    return f"<div class=scroll><table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table></div>"


def _following(following: dict[str, Any] | None) -> str:
    """Two cells: the correlation with the clean expert over 1 s, and the share of ticks against the command."""
    told = following or {"correlation": {}, "overruled": None}
    numbers = told["correlation"].get("1 s"), told["overruled"]
    return "".join("<td>" + ("" if number is None else f"{number:.2f}") for number in numbers)


def _help(row: dict[str, Any]) -> str:
    if row["strength"] is None:
        return row["helper"]
    return f"strength {row['strength']:g}" + (" <small>operator unheard</small>" if row["strength"] == 0 else "")


def with_interval(estimate: dict[str, Any]) -> str:
    """A value and, in small print, its interval."""
    low, high = estimate["low"], estimate["high"]
    if not finite(estimate["value"]):
        return f"no drop <small>≥ {number(low)}</small>"
    return f"{number(estimate['value'])} <small>{number(low)} – {number(high) if finite(high) else '∞'}</small>"


def _hold(estimate: dict[str, Any]) -> str:
    if finite(estimate["value"]):
        return f"{number(estimate['value'])} s"
    return f"more than {number(estimate['low'])} s"


def finite(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and math.isfinite(value)


def of_nothing(ratio: dict[str, Any]) -> bool:
    """Whether a ratio is of 0 to 0; that of something to nothing has a lower bound. JSON has null for both."""
    return not finite(ratio["value"]) and ratio["low"] == 0


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if not finite(value):
        return "∞"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def figure_of_film(film: Film) -> str:
    """A film and what it shows."""
    return f"<figure>{video.tag(film.path)}<figcaption>{text(film.caption)}</figcaption></figure>"


def text(value: str) -> str:
    """A value as HTML shows it."""
    return html.escape(str(value))


PLANE = (
    "Up and to the right is better. Hollow: the operator alone. Triangles: without a controller, low-passed (up) and"
    " turned down by its own noise (down). Filled circles: helped, one for each strength; the small one does not hear"
    " the operator. Bars are 95% intervals."
)
_NOTE = (
    "Small print beside a number is its 95% interval, from the count alone (exact Poisson). After a drop the hand gets "
    "a fresh grasp. At strength 1 an operator is heard as far as it can be believed; at 0 the "
    "controller moves as it likes. Follows: the correlation of the joint targets' changes with those that the clean "
    "expert wanted, over 1 s. Overruled: the share of ticks in which the targets moved against the command. All rows "
    "begin from the same grasps, goals and directions of gravity. The strength is chosen in the even environments (the "
    "marked row) and the ratios at the top are of the odd ones, so they need not equal those of the marked row."
)
_STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfd; --ink: #1d2430; --faint: #68717f; --line: #d9dee5; --best: #e8f1ff }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161c; --ink: #e3e8ef; --faint: #94a0b0; --line: #2c3440; --best: #18283f } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem }
h1 { font-size: 2rem; margin: 0 0 1rem; letter-spacing: -0.02em }
h2 { font-size: 1.15rem; margin: 2.75rem 0 0.75rem }
.lead { font-size: 1.15rem; margin: 0.5rem 0 }
.note, small, figcaption, dt { color: var(--faint) }
small { font-size: 0.8em; white-space: nowrap }
figure { margin: 1.25rem 0 }
figure svg { max-width: 100%; height: auto }
video { width: 100%; max-width: 46rem; border: 1px solid var(--line); border-radius: 8px; display: block }
figcaption { font-size: 0.9rem; margin-top: 0.4rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 600; font-size: 0.85rem; color: var(--faint) }
th, td { padding: 0.35rem 0.9rem 0.35rem 0.5rem; border-bottom: 1px solid var(--line); white-space: nowrap }
td.first { font-weight: 600 }
tr.best td:not(.name) { background: var(--best) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.5rem }
dd { margin: 0 }
details { border-top: 1px solid var(--line); padding: 0.6rem 0 }
summary { cursor: pointer; font-weight: 600 }
td details { border: 0; padding: 0 }
td summary { font-weight: 400; color: var(--faint) }
td code { display: block; min-width: 20rem; white-space: normal; font-size: 0.8rem }
pre { overflow-x: auto; font-size: 0.8rem; line-height: 1.45 }
"""
