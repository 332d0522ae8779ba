"""What grow_grasps.py says about a grown library: figures for its result, and the sections of its page of pictures."""

import numpy as np

from dexgen_jax.grasps import coverage, goals, growth, overlap, symmetry
from dexgen_jax.grasps.library import ObjectGrasps
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects import catalog
from dexgen_jax.physics.engine import Engine
from dexgen_jax.viz import grasp_page
from dexgen_jax.viz.grasp_page import Section


def figures(hand: Hand, grasps: ObjectGrasps) -> dict[str, float]:
    """Figures of one object's library.

    Precision grasps touch the object with the last links alone. `cells` is how many cells of position and rotation
    are reached; the graph's figures are those of the goal graph with its default settings.
    """
    tried = sum(of["tried"] for of in grasps.provenance["counts"].values())
    graph = goals.build(grasps.q, grasps.object_pose, goals.GraphConfig())
    inner = (grasps.touches & ~overlap.is_tip(hand)).any(axis=1)
    return {
        "grasps": len(grasps),
        "tried": tried,
        "accepted_share": len(grasps) / max(tried, 1),
        "precision_share": 1.0 - float(inner.mean()),
        **{f"{maker}_share": float(np.mean(grasps.source == i)) for i, maker in enumerate(growth.MAKERS)},
        "cells": coverage.count(grasps.object_pose, symmetry.group(catalog.load(grasps.object_name))),
        "largest_component": graph.largest_share,
        "isolated": graph.isolated,
    }


def summary(of_object: dict[str, dict[str, float]]) -> dict:
    """The stage's result: totals and means over the objects, and the worst of what must be good everywhere."""
    rows = list(of_object.values())
    total = lambda key: int(sum(row[key] for row in rows))
    mean = lambda key: round(float(np.mean([row[key] for row in rows])), 4)
    shares = [key for key in rows[0] if key.endswith("_share") and key != "accepted_share"]
    return {
        "objects": len(rows),
        "grasps": total("grasps"),
        "candidates": total("tried"),
        "accepted_share": round(total("grasps") / max(total("tried"), 1), 4),
        **{key: mean(key) for key in shares},
        "largest_component_min": round(min(row["largest_component"] for row in rows), 4),
        "isolated": total("isolated"),
    }


def page(engine: Engine, libraries: list[ObjectGrasps], of_object: dict[str, dict[str, float]], pictures: int) -> str:
    """The HTML page of the libraries of the engine's objects, in the engine's order."""
    sections = []
    for index, grasps in enumerate(libraries):
        shown = of_object[grasps.object_name]
        numbers = {
            key.replace("_", " "): f"{value:.3g}" if value < 1 else f"{value:.0f}" for key, value in shown.items()
        }
        sections.append(
            Section(
                grasps.object_name,
                engine.model(index),
                np.concatenate([grasps.q, grasps.object_pose], axis=1),
                grasps.touches,
                grasps.source,
                numbers,
                growth.describe(grasps.provenance["counts"]),
            )
        )
    capsules = grasp_page.capsule_names(engine.scene.model)
    return grasp_page.page(sections, tuple(growth.MAKERS), capsules, pictures)
