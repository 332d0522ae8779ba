"""Where an expert's minutes go: its tries at goals, by what was asked of it, and what was missing where it failed.

A try begins when a goal is set and ends when it is reached, given up, lost with the object, or cut by the time limit.
Those still open when the recording ends are left out of every count. Host only.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from dexgen_jax.envs import rewards
from dexgen_jax.evaluation import intervals
from dexgen_jax.physics.engine import CONTROL_HZ

PARTS = ("position", "rotation", "joints")  # of a goal: m, rad, rad rms
UNITS = np.array([rewards.POSITION_UNIT, rewards.ANGLE_UNIT, rewards.JOINT_UNIT])
EDGES = {  # of the groups in which goals are told apart by how far they were when they were set
    "distance": (0.0, 3.0, 4.5, 6.0, np.inf),  # units of `rewards.distance`
    "position": (0.0, 0.0125, 0.025, 0.05, np.inf),  # m
    "rotation": (0.0, 0.6, 0.75, 0.9, 1.2, np.inf),  # rad
    "joints": (0.0, 0.3, 0.45, 0.6, np.inf),  # rad rms
}
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclasses.dataclass(frozen=True)
class Tries:
    """One row for each try that ended."""

    outcome: np.ndarray  # (N,) "reached", "given up", "dropped" or "cut"
    seconds: np.ndarray  # (N,) from the goal's setting to its end
    asked: np.ndarray  # (N, 3) how far the goal was when it was set: m, rad, rad rms
    left: np.ndarray  # (N, 3) how far it was at the end
    object: np.ndarray  # (N,) number of the object
    angle: np.ndarray  # (N,) degrees between gravity and palm-up's, at the end

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, rows: np.ndarray) -> "Tries":
        """The tries of these rows, a mask or numbers."""
        return Tries(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    @property
    def far(self) -> dict[str, np.ndarray]:
        """How far the goals were, (N,) each: all parts in one number, and apart."""
        apart = dict(zip(PARTS, self.asked.T, strict=True))
        return {"distance": (self.asked / UNITS).sum(1), **apart}


def collect(events: Any) -> Tries:
    """The tries in a recording (`expert.Events`), in the order in which they ended."""
    ends = {"dropped": events.drop, "reached": events.goal, "given up": events.given_up, "cut": events.ended}
    where = np.logical_or.reduce(list(ends.values()))
    # An object may be lost in the very step that reached its goal: then both count in the rates, and the try is lost.
    outcome = np.select([mask[where] for mask in ends.values()], list(ends), "")
    return Tries(
        outcome,
        events.goal_age[where] / CONTROL_HZ,
        events.asked[where],
        events.left[where],
        events.object[where],
        events.angle[where],
    )


def summarise(
    tries: Tries, groups: Mapping[str, Mapping[str, np.ndarray]], tolerances: Sequence[float] | None
) -> dict[str, Any]:
    """Figures of all tries, of each of `groups` (masks by name, by kind of group) and of each range of `EDGES`.

    `tolerances` (3,) are those of the task; without them nothing is told about what was missing.
    """
    ranges = {kind: _ranges(tries.far[kind], edges) for kind, edges in EDGES.items()}
    kinds = {**ranges, **groups}
    split = lambda masks: {name: row(tries.take(mask)) for name, mask in masks.items() if mask.any()}
    given_up = tries.take(tries.outcome == "given up")
    return {
        "all": row(tries),
        "by": {kind: split(masks) for kind, masks in kinds.items()},
        "time": _time(tries),
        "missing": missing(given_up, tolerances) if tolerances is not None and len(given_up) else {},
    }


def row(tries: Tries) -> dict[str, Any]:
    """One group: how its tries ended, the share that was reached, the time to the goal [s], drops in its time."""
    counts = {name: int((tries.outcome == name).sum()) for name in ("reached", "given up", "dropped", "cut")}
    seconds = float(tries.seconds.sum())
    hold = intervals.hold_time(counts["dropped"], seconds)
    reached = tries.seconds[tries.outcome == "reached"]
    return {
        "tries": len(tries),
        **counts,
        "seconds": seconds,
        "share": dataclasses.asdict(proportion(counts["reached"], len(tries))),
        "seconds_to_goal": float(reached.mean()) if len(reached) else None,
        "hold_time": dataclasses.asdict(hold),
    }


def missing(given_up: Tries, tolerances: Sequence[float]) -> dict[str, float]:
    """Shares of the tries that were given up: by which tolerances were not met in their last moment."""
    outside = given_up.left >= np.asarray(tolerances)[None]
    names = ["+".join(np.asarray(PARTS)[row]) or "none" for row in outside]
    found, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(found[i]): float(counts[i] / len(given_up)) for i in order}


def graph_quantiles(library: Any, sizes: Callable) -> dict[str, dict[str, float]]:
    """Quantiles of how far the goals of a library's graph are, each edge once, in the units of `Tries.far`.

    `sizes(start, goal)` gives (edges,) arrays of position [m], rotation [rad] and joints [rad rms] for rows of the
    library.
    """
    start, column = np.nonzero(np.isfinite(np.asarray(library.distance)))
    goal = np.asarray(library.neighbours)[start, column]
    parts = np.stack([np.asarray(size) for size in sizes(start, goal)], axis=1)
    far = {"distance": (parts / UNITS).sum(1), **dict(zip(PARTS, parts.T, strict=True))}
    return {kind: {f"{q:g}": float(np.quantile(values, q)) for q in QUANTILES} for kind, values in far.items()}


def table(summary: Mapping[str, Any], graph: Mapping[str, Mapping[str, float]]) -> str:
    """All of it as Markdown, for the screen and for an expert's card."""
    lines = ["| goals | tries | reached | given up | dropped | s to the goal | s held per drop |", "|---|" + "---|" * 6]
    lines += [_line("all", summary["all"])]
    for kind, rows in summary["by"].items():
        lines += [_line(f"{kind} {name}", one) for name, one in rows.items()]
    time = ", ".join(f"{share:.0%} {name}" for name, share in summary["time"].items())
    lines += ["", f"Time goes into goals that were: {time}."]
    if summary["missing"]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in summary["missing"].items())
        lines += [f"Not within tolerance when a goal was given up: {shares}."]
    lines += ["", "| distances of the graph's goals | " + " | ".join(f"{q:.0%}" for q in QUANTILES) + " |"]
    lines += ["|---|" + "---|" * len(QUANTILES)]
    lines += [f"| {kind} | " + " | ".join(f"{x:.3g}" for x in row.values()) + " |" for kind, row in graph.items()]
    return "\n".join(lines) + "\n"


def proportion(successes: int, tries: int, confidence: float = 0.95) -> intervals.Estimate:
    """A share with its exact interval. Source: Clopper and Pearson 1934, doi:10.2307/2331986."""
    if not 0 <= successes <= tries or tries == 0:
        raise ValueError(f"a share needs 0 <= successes <= tries and tries > 0, got {successes} of {tries}")
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, successes, tries - successes + 1) if successes else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, tries - successes) if successes < tries else 1.0
    return intervals.Estimate(successes / tries, float(low), float(high))


def _ranges(values: np.ndarray, edges: Sequence[float]) -> dict[str, np.ndarray]:
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return {_range_name(low, high): (low <= values) & (values < high) for low, high in pairs}


def _range_name(low: float, high: float) -> str:
    return f"from {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


def _time(tries: Tries) -> dict[str, float]:
    """Shares of the time by how the tries it went into ended."""
    total = tries.seconds.sum()
    ends = [name for name in ("reached", "given up", "dropped", "cut") if (tries.outcome == name).any()]
    return {name: float(tries.seconds[tries.outcome == name].sum() / total) for name in ends}


def _line(name: str, row: Mapping[str, Any]) -> str:
    share, wait = row["share"], row["seconds_to_goal"]
    held = row["hold_time"]["value"]
    cells = [
        name,
        f"{row['tries']}",
        f"{share['value']:.0%} ({share['low']:.0%} to {share['high']:.0%})",
        f"{row['given up'] / row['tries']:.0%}",
        f"{row['dropped'] / row['tries']:.0%}",
        "-" if wait is None else f"{wait:.1f}",
        "-" if np.isinf(held) else f"{held:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"
