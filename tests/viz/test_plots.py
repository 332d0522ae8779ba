import xml.etree.ElementTree

import numpy as np

from dexgen_jax.viz import plots


def _estimate(value, low, high):
    return {"value": value, "low": low, "high": high}


def _rows(*values):
    return [
        {"strength": strength, "hold_time": _estimate(*value), "goals_per_minute": _estimate(1.0, 0.5, 2.0)}
        for strength, value in zip((None, 0.0, 0.3), values, strict=True)
    ]


GROUPS = {
    "noisy": _rows((5, 4, 6), (20, 15, 30), (30, 22, 41)),
    "slow": _rows((50, 30, 90), (None, 100, None), (np.inf, 120, np.inf)),  # no drop, from a file and from memory
}


def _texts(svg):
    return [element.text for element in xml.etree.ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def test_one_panel_per_operator_with_its_strengths():
    texts = _texts(plots.by_strength(GROUPS, "hold_time", "seconds per drop", {"hold_time": _estimate(60, 40, 80)}))
    assert {"noisy", "slow", "seconds per drop", "alone", "assisted", "clean expert"} <= set(texts)
    assert texts.count("0.3") == 2


def test_the_colours_of_the_page_are_taken():
    svg = plots.by_strength(GROUPS, "goals_per_minute", "goals per minute", None)
    assert "currentColor" in svg and plots.INK not in svg
    assert svg.startswith("<svg") and "<?xml" not in svg


def test_the_same_numbers_give_the_same_text():
    curve = plots.Curve("Loss", "steps", {"a": (np.arange(3), np.ones(3)), "b": (np.arange(3), np.ones(3))})
    assert plots.learning([curve]) == plots.learning([curve])
    assert {"Loss", "steps", "a", "b"} <= set(_texts(plots.learning([curve])))
