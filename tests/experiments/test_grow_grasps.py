import dataclasses

import grasp_report
import grow_grasps
import numpy as np
import pytest

from dexgen_jax.grasps import growth
from dexgen_jax.hand import allegro


def _grasps(count, batches, held=0):
    counts = {"cup": {"proposed": 300, "tried": 300, "closed": 200, "shaken": 4, "held": held}}
    provenance = {"batches": batches, "counts": counts}
    empty = growth.begin(allegro.load(), "cube_55", provenance)
    rng = np.random.default_rng(0)
    quat = rng.standard_normal((count, 4))
    pose = np.concatenate(
        [0.01 * rng.standard_normal((count, 3)), quat / np.linalg.norm(quat, axis=1)[:, None]], axis=1
    )
    touches = np.zeros((count, empty.touches.shape[1]), bool)
    touches[: count // 4, 0] = True  # the palm
    q = rng.uniform(0, 1, (count, empty.q.shape[1]))
    return dataclasses.replace(
        empty, q=q, target=q, object_pose=pose.astype(np.float32), touches=touches, source=np.zeros(count, np.uint8)
    )


def test_an_object_no_hand_can_hold_ends_with_where_its_candidates_died():
    settings = growth.GrowthConfig(cup=(30, 30), contacts=(0, 0), search=(0, 0))
    grow_grasps.refuse_hopeless(_grasps(0, 9), settings, 0.01)  # too early to judge
    grow_grasps.refuse_hopeless(_grasps(3, 10), settings, 0.01)
    with pytest.raises(ValueError) as error:
        grow_grasps.refuse_hopeless(_grasps(2, 10), settings, 0.01)
    said = (
        "cube_55: only 2 grasps held after 10 batches, less than 0.01 of the candidates",
        "300 proposed, 300 tried, 200 closed, 4 shaken, 0 held",
        "choose an object this hand can hold, or lower min_share",
    )
    for words in said:
        assert words in str(error.value)


def test_figures_of_a_library_by_hand():
    figures = grasp_report.figures(allegro.load(), _grasps(200, 1, held=200))
    assert figures["grasps"] == 200 and figures["tried"] == 300 and figures["accepted_share"] == 200 / 300
    assert figures["precision_share"] == 0.75 and figures["cup_share"] == 1.0 and figures["search_share"] == 0.0
    assert 20 < figures["cells"] <= 200
    assert figures["largest_component"] == 1.0 and figures["isolated"] == 0


def test_the_summary_counts_all_and_names_the_worst():
    figures = grasp_report.figures(allegro.load(), _grasps(200, 1, held=200))
    worse = figures | {"largest_component": 0.9, "isolated": 3, "precision_share": 0.25}
    result = grasp_report.summary({"a": figures, "b": worse})
    assert result["objects"] == 2 and result["grasps"] == 400 and result["candidates"] == 600
    assert result["largest_component_min"] == 0.9 and result["isolated"] == 3
    assert result["precision_share"] == 0.5 and result["accepted_share"] == 0.6667
