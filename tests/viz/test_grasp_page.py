import re

import numpy as np
import pytest

from dexgen_jax.hand import allegro
from dexgen_jax.viz import grasp_page
from dexgen_jax.viz.grasp_page import Section


@pytest.fixture(scope="module")
def section(engine, grasps):
    found = grasps[1]
    qpos = np.concatenate([found.q, found.object_pose], axis=1)
    return Section("a < ball", engine.model(1), qpos, found.touches, found.source, {"grasps": "12"}, "3 & more")


def test_the_page_is_whole_without_a_network_and_says_what_it_is_told(section):
    names = grasp_page.capsule_names(section.model)
    page = grasp_page.page([section, section], ("cup", "search"), names, pictures=2)
    assert page.count("<img ") == 4 and page.count("data:image/") == 4
    assert not re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'> ]+""", page)
    assert "a &lt; ball" in page and "3 &amp; more" in page and "<td>12</td>" in page


def test_capsules_have_their_names_in_the_order_of_the_chain(section):
    hand = allegro.load()
    names = grasp_page.capsule_names(section.model)
    assert len(names) == len(hand.chain.capsule_body) == section.touches.shape[1]
    model = hand.spec().compile()
    assert [model.geom(name).bodyid[0] - 1 for name in names] == hand.chain.capsule_body.tolist()


def test_pictures_stand_side_by_side_and_differ(section):
    strip = grasp_page._strip(section, 3)
    assert strip.shape == (190, 3 * 210, 3)
    assert np.abs(strip[:, :210].astype(int) - strip[:, 210:420]).mean() > 1
