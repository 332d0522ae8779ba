"""Plots as SVG text that takes the colours of the page around it, light or dark."""

import dataclasses
import io
from typing import Any

import matplotlib
import matplotlib.figure
import matplotlib.ticker
import numpy as np

INK = "#010203"  # stands for the page's text colour, which an SVG inside HTML calls currentColor
BLUE, ORANGE, GREEN = "#3b82f6", "#f97316", "#10a37f"


@dataclasses.dataclass(frozen=True)
class Curve:
    """One panel of lines over training; `lines` maps a label to (x, y)."""

    title: str
    x_label: str
    lines: dict[str, tuple[np.ndarray, np.ndarray]]
    log: bool = False


def by_strength(
    groups: dict[str, list[dict[str, Any]]], quantity: str, label: str, clean: dict[str, Any] | None
) -> str:
    """One panel per operator: `quantity` ('hold_time' or 'goals_per_minute') of its rows over strength, with intervals.

    The operator alone is a line with its interval as a band, the clean expert `clean` a dashed line.
    """
    figure = _figure(3.3 * len(groups), 3.0)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for panel, (name, rows) in zip(panels, groups.items(), strict=True):
        alone = next(row for row in rows if row["strength"] is None)[quantity]
        _level(panel, alone, ORANGE, "-", "alone")
        if clean:
            _level(panel, clean[quantity], INK, "--", "clean expert", band=False)
        helped = [row for row in rows if row["strength"] is not None]
        points = [_finite(row[quantity]) for row in helped]
        value = np.array([point["value"] for point in points])
        around = np.abs(np.array([[point["low"], point["high"]] for point in points]).T - value)
        panel.errorbar(range(len(helped)), value, around, color=BLUE, marker="o", capsize=3, lw=1.5, label="assisted")
        panel.set_xticks(range(len(helped)), [f"{row['strength']:g}" for row in helped])
        panel.set_title(name)
        panel.set_xlabel("guidance strength λ")
        panel.grid(alpha=0.15, color=INK)
    if quantity == "hold_time":
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        panels[0].yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    else:
        highest = max(_finite(row[quantity])["high"] for rows in groups.values() for row in rows)
        panels[0].set_ylim(0, 1.05 * max(highest, clean[quantity]["value"] if clean else 0))
    panels[0].set_ylabel(label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
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


def _level(panel, estimate: dict[str, float], colour: str, style: str, label: str, band: bool = True) -> None:
    finite = _finite(estimate)
    panel.axhline(finite["value"], color=colour, ls=style, lw=1.3, label=label)
    if band:
        panel.axhspan(finite["low"], finite["high"], color=colour, alpha=0.15, lw=0)


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
    for legend in (*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())):
        for text in legend.get_texts():
            text.set_color(INK)
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")
