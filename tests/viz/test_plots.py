import xml.etree.ElementTree

import numpy as np

from dexgen_jax.viz import plots


def _estimate(value, low, high):
    return {"value": value, "low": low, "high": high}


def _rows(*values):
    return [
        {
            "strength": strength,
            "helper": "alone" if strength is None else "controller",
            "hold_time": _estimate(*value),
            "goals_per_minute": _estimate(1.0, 0.5, 2.0),
        }
        for strength, value in zip((None, 0.0, 1.0), values, strict=True)
    ]


GROUPS = {
    "noisy": _rows((5, 4, 6), (20, 15, 30), (30, 22, 41)),
    "slow": _rows((50, 30, 90), (None, 100, None), (np.inf, 120, np.inf)),  # no drop, from a file and from memory
}


def _texts(svg):
    return [element.text for element in xml.etree.ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def test_the_plane_names_every_operator_alone_and_helped_and_the_clean_expert():
    texts = _texts(plots.plane(GROUPS, _rows((60, 40, 80), (1, 1, 1), (1, 1, 1))[0]))
    names = {f"{who}, {how}" for who in GROUPS for how in ("alone", "helped")}
    assert names | {"clean expert", "goals per minute", "seconds held per drop"} <= set(texts)


def test_the_colours_of_the_page_are_taken():
    svg = plots.plane(GROUPS, None)
    assert "currentColor" in svg and plots.INK not in svg
    assert svg.startswith("<svg") and "<?xml" not in svg


def test_the_same_numbers_give_the_same_text():
    curve = plots.Curve("Loss", "steps", {"a": (np.arange(3), np.ones(3)), "b": (np.arange(3), np.ones(3))})
    assert plots.learning([curve]) == plots.learning([curve])
    assert {"Loss", "steps", "a", "b"} <= set(_texts(plots.learning([curve])))
