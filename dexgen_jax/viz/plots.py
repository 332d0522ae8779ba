"""Plots as SVG text that takes the colours of the page around it, light or dark."""

import dataclasses
import io
from typing import Any

import matplotlib
import matplotlib.figure
import matplotlib.ticker
import numpy as np

INK = "#010203"  # stands for the page's text colour, which an SVG inside HTML calls currentColor
BLUE, ORANGE, GREEN, PURPLE, RED = "#3b82f6", "#f97316", "#10a37f", "#8b5cf6", "#e11d48"


@dataclasses.dataclass(frozen=True)
class Curve:
    """One panel of lines over training; `lines` maps a label to (x, y)."""

    title: str
    x_label: str
    lines: dict[str, tuple[np.ndarray, np.ndarray]]
    log: bool = False


def plane(groups: dict[str, list[dict[str, Any]]], clean: dict[str, Any] | None) -> str:
    """Goals a minute across, seconds held upward: for each operator its point alone and its curve over the strength.

    A hollow circle is the operator alone, a triangle the same low-passed (up) or turned down (down), filled circles are
    helped, that at strength 0 small; bars are intervals. The clean expert `clean` is a star.
    """
    figure = _figure(6.6, 4.6)
    axes = figure.subplots()
    for (name, rows), colour in zip(groups.items(), (BLUE, ORANGE, GREEN, PURPLE, RED) * 3, strict=False):
        helped = [row for row in rows if row["strength"] is not None]
        axes.plot(*np.array([_point(row) for row in helped]).T, color=colour, lw=1.3, alpha=0.7)
        for row in rows:
            alone = row["helper"] == "alone"
            marker = {"low-passed": "^", "turned down": "v"}.get(row["helper"], "o")
            style: dict[str, Any] = dict(marker=marker, mfc="none") if alone else dict(marker=marker)
            label = f"{name}, alone" if alone else f"{name}, helped" if row["strength"] == 1 else None
            size = 3 if row["strength"] == 0 else 7
            x, y = _point(row)
            across, upward = (_around(row[quantity]) for quantity in ("goals_per_minute", "hold_time"))
            axes.errorbar(x, y, upward, across, color=colour, ms=size, lw=0.8, alpha=0.9, label=label, ls="", **style)
    if clean:
        axes.plot(*_point(clean), marker="*", ms=13, color=INK, ls="", label="clean expert")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_xlim(left=0)
    axes.set_xlabel("goals per minute")
    axes.set_ylabel("seconds held per drop")
    axes.grid(alpha=0.15, color=INK)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return _svg(figure)


def _point(row: dict[str, Any]) -> tuple[float, float]:
    return _finite(row["goals_per_minute"])["value"], _finite(row["hold_time"])["value"]


def _around(estimate: dict[str, float | None]) -> np.ndarray:
    """How far an interval reaches down and up, (2, 1)."""
    known = _finite(estimate)
    return np.abs(np.array([[known["low"]], [known["high"]]]) - known["value"])


def survival(holds: dict[str, dict[str, list[float]]]) -> str:
    """The share of grasps that is still held after a time, by label: Kaplan and Meier's estimate of each.

    `holds` has the seconds of the grasps that were `lost` and of those `open` at the end, see `evaluation.assist`.
    """
    figure = _figure(6.6, 3.4)
    axes = figure.subplots()
    for (label, one), colour in zip(holds.items(), (INK, ORANGE, BLUE, GREEN, PURPLE, RED) * 2, strict=False):
        times, share = kaplan_meier(np.array(one["lost"]), np.array(one["open"]))
        axes.step(times, share, where="post", color=colour, lw=1.5, label=label)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds since the grasp")
    axes.set_ylabel("share still held")
    axes.grid(alpha=0.15, color=INK)
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def kaplan_meier(lost: np.ndarray, still: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times [s] at which something was lost, from 0 on, and the share held after each.

    `lost` and `still` are seconds until a loss, and until the watching ended. Source: Kaplan and Meier 1958,
    doi:10.2307/2281868.
    """
    times = np.unique(lost)
    watched = np.concatenate([lost, still])
    at_risk = (watched[None] >= times[:, None]).sum(1)
    kept = 1 - (lost[None] == times[:, None]).sum(1) / np.maximum(at_risk, 1)
    end = [watched.max()] if len(watched) else []
    share = np.concatenate([[1.0], np.cumprod(kept)])
    return np.concatenate([[0.0], times, end]), np.concatenate([share, share[-1:]] if len(end) else [share])


def ratios(groups: dict[str, dict[str, dict[str, float]]], x_label: str) -> str:
    """Ratios with their intervals, one line for each name, one colour for each group: {group: {name: estimate}}.

    An estimate that is infinite is drawn at its lower bound, and left out if that is infinite too.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    figure = _figure(6.6, 0.9 + 0.3 * len(names))
    axes = figure.subplots()
    axes.axvline(1, color=INK, lw=0.8, alpha=0.5)
    colours = (BLUE, GREEN, ORANGE, PURPLE, RED)
    for i, ((label, group), colour) in enumerate(zip(groups.items(), colours, strict=False)):
        known = {name: estimate for name, estimate in group.items() if np.isfinite(estimate["low"])}
        rows = [(names.index(name), _finite(estimate)) for name, estimate in known.items()]
        at = np.array([-row for row, _ in rows]) + 0.16 * ((len(groups) - 1) / 2 - i)
        values = np.array([[one["value"], one["low"], one["high"]] for _, one in rows]).reshape(-1, 3).T
        around = np.abs(values[1:] - values[0])
        axes.errorbar(values[0], at, xerr=around, fmt="o", ms=4, lw=1, color=colour, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.set_yticks(-np.arange(len(names)), names)
    axes.set_xlabel(x_label)
    axes.grid(alpha=0.15, color=INK, axis="x")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def beside(paper: dict[str, dict[str, tuple[float, float]]], ours: dict[str, list[dict[str, Any]]]) -> str:
    """The paper's points beside ours: a panel for each operator, goals across, seconds held upward.

    `paper` has (seconds, goals) by alpha for each operator, `ours` rows. Goals are of a trial there and a minute here.
    """
    figure = _figure(2.1 * len(paper), 2.8)
    for panel, (name, points) in zip(
        figure.subplots(1, len(paper), squeeze=False, sharey=True)[0], paper.items(), strict=True
    ):
        for alpha, (seconds, goals) in points.items():
            alone = alpha == "unassisted"
            panel.plot(goals, seconds, "s", color=ORANGE, ms=5, mfc="none" if alone else ORANGE, alpha=0.9)
        for row in ours.get(name, []):
            x, y = _point(row)
            across, upward = (_around(row[quantity]) for quantity in ("goals_per_minute", "hold_time"))
            fill = "none" if row["helper"] == "alone" else BLUE
            panel.errorbar(x, y, upward, across, color=BLUE, fmt="o", ms=5, mfc=fill, lw=0.8)
        panel.set_title(name)
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        panel.set_xlabel("goals")
        panel.grid(alpha=0.15, color=INK)
    figure.axes[0].set_ylabel("seconds held per drop")
    return _svg(figure)


def learning(curves: list[Curve]) -> str:
    """Small panels beside each other, one for each curve."""
    figure = _figure(3.3 * len(curves), 2.4)
    for panel, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        for (label, (x, y)), colour in zip(curve.lines.items(), (BLUE, ORANGE, GREEN, INK) * 3, strict=False):
            panel.plot(x, y, color=colour, lw=1.4, label=label)
        panel.set_title(curve.title)
        panel.set_xlabel(curve.x_label)
        panel.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        panel.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
        if curve.log:
            panel.set_yscale("log")
        if len(curve.lines) > 1:
            panel.legend(frameon=False, fontsize=8)
        panel.grid(alpha=0.15, color=INK)
    return _svg(figure)


def _finite(estimate: dict[str, float | None]) -> dict[str, float]:
    """Without a drop neither value nor upper bound is known: both are drawn at the lower bound."""
    known = {name: value for name, value in estimate.items() if value is not None and np.isfinite(value)}
    return {name: known.get(name, known["low"]) for name in ("value", "low", "high")}


def _figure(width: float, height: float) -> matplotlib.figure.Figure:
    return matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def _svg(figure: matplotlib.figure.Figure) -> str:
    buffer = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "dexgen", "font.size": 9, "font.family": "sans-serif"}
    for axes in figure.axes:
        axes.set_facecolor("none")
        for spine in axes.spines.values():
            spine.set_color(INK)
            spine.set_alpha(0.4)
        axes.tick_params(colors=INK, which="both")
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            text.set_color(INK)
    for legend in (*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))):
        for text in legend.get_texts():
            text.set_color(INK)
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")
