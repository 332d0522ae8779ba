"""The card of a dataset: what is in it and how it was made, as Markdown with two plots, beside the recordings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.figure

from dexgen_jax import run_log
from dexgen_jax.viz.plots import BLUE, ORANGE

CARD_FILE, SHARES_FILE, JOINTS_FILE = "README.md", "shares.png", "joints.png"


def write(folder: str | Path, found: Mapping[str, Any], limits: Mapping[str, Sequence[float]]) -> Path:
    """Writes the card of what `summary.describe` found; `limits` [rad] are those of the hand, by joint."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _bars(folder / SHARES_FILE, {**found["modes"], **found["objects"]})
    _ranges(folder / JOINTS_FILE, found["joints_rad"], limits)
    run_log.atomic_write(folder / CARD_FILE, text(found))
    return folder / CARD_FILE


def text(found: Mapping[str, Any]) -> str:
    """The card's Markdown."""
    size = found["bytes_per_transition"]
    rows = {
        "transitions": f"{found['transitions']:,}",
        "hours of manipulation": f"{found['hours']:.2f}",
        "episodes": f"{found['episodes']:,}",
        "drops": f"{found['drops']:,}, one in {found['seconds_per_drop']:.1f} s",
        "goals reached": f"{found['goals']:,}",
        "rows that were disturbed": f"{found['disturbed']:.1%}",
        "rows that are kept": f"{found['kept']:.1%}; the last ones before a drop are not",
        "invalid rows besides": f"{found['invalid']:,}",
        "blocks": f"{found['blocks']}, missing {found['missing_blocks']}",
        "bytes of a transition on disk": "not known in a bucket" if size is None else f"{size:.1f}",
    }
    shares = [f"| {name} | {share:.1%} |" for name, share in {**found["modes"], **found["objects"]}.items()]
    lines = [
        f"# Recordings of the {found['hand']} hand", "",
        "Joint positions and targets at the control rate, with flags and modes; what only a simulator knows is in the "
        "columns `privileged/`.", "",
        "| what | how much |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), "",
        "| mode or object | share of the rows |", "|---|---|", *shares, "",
        f"![Shares]({SHARES_FILE})", "", f"![Range of each joint within its limits]({JOINTS_FILE})", "",
        f"Made by dexgen_jax {found['dexgen_jax']} with", "",
        "```json", run_log.to_json(found["provenance"], indent=1), "```", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _bars(path: Path, shares: Mapping[str, float]) -> None:
    figure = matplotlib.figure.Figure(figsize=(6, 0.8 + 0.22 * max(len(shares), 1)), layout="constrained")
    axes = figure.subplots()
    names = list(shares)[::-1]
    axes.barh(names, [100 * shares[name] for name in names], color=BLUE)
    axes.set_xlabel("% of the rows")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _ranges(path: Path, ranges: Mapping[str, Sequence[float]], limits: Mapping[str, Sequence[float]]) -> None:
    figure = matplotlib.figure.Figure(figsize=(6, 0.8 + 0.22 * len(ranges)), layout="constrained")
    axes = figure.subplots()
    for row, (name, (low, high)) in enumerate(ranges.items()):
        axes.plot(limits[name], [row, row], color=ORANGE, lw=7, alpha=0.35, solid_capstyle="butt")
        axes.plot([low, high], [row, row], color=BLUE, lw=3, solid_capstyle="butt")
    axes.set_yticks(range(len(ranges)), list(ranges))
    axes.invert_yaxis()
    axes.set_xlabel("rad: recorded, within the limits of the hand")
    figure.savefig(path, dpi=110, metadata={"Software": None})
