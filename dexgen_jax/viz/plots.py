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
