"""Laws: a hand is what its name says, one's own is a file, and nobody else's things are taken for it."""

import pytest
import three_finger

from dexgen_jax.controller.model import Model
from dexgen_jax.hand import registry

OWN = three_finger.__file__


@pytest.fixture
def clean(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "HANDS", dict(registry.HANDS))
    registry._from_file.cache_clear()


@pytest.mark.parametrize("name", registry.HANDS)
def test_every_hand_calls_itself_by_its_name(name):
    assert registry.load(name).name == name and registry.load(name) is registry.load(name)


def test_a_file_makes_a_hand_that_is_then_known_by_its_own_name(clean):
    hand = registry.load(OWN)
    assert hand.name == "three_finger" and hand.num_joints == 6
    assert registry.load(OWN) is registry.load("three_finger") is hand
    assert Model(hand_name="three_finger").motion_shape == (2, 6, 3)


def test_a_name_that_is_taken_or_wrong_is_refused(clean):
    with pytest.raises(ValueError, match="there is a hand 'leap' already: give this one another name"):
        registry.register("leap", three_finger.load)
    with pytest.raises(ValueError, match="'claw_left' would be taken for the image of 'claw': if it is one, register"):
        registry.register("claw_left", three_finger.load)
    registry.register("claw", three_finger.load)
    with pytest.raises(ValueError, match="registered as 'claw' calls itself 'three_finger'"):
        registry.load("claw")


def test_what_is_no_hand_says_what_would_be(clean, tmp_path):
    with pytest.raises(ValueError, match="unknown hand 'alegro'; did you mean allegro"):
        registry.load("alegro")
    with pytest.raises(ValueError, match="no hand file .*/mine.py: name a Python file with a function load"):
        registry.load(str(tmp_path / "mine.py"))
    (tmp_path / "mine.py").write_text("def load():\n    return 3\n")
    with pytest.raises(ValueError, match=r"mine.py makes no hand: it needs a function load\(\)"):
        registry.load(str(tmp_path / "mine.py"))


def test_things_of_another_hand_are_refused_by_both_names():
    registry.refuse_other("the expert 'run'", "leap", "leap")
    with pytest.raises(ValueError) as error:
        registry.refuse_other("the expert 'run'", "allegro", "leap")
    assert str(error.value) == (
        "the expert 'run' is of hand 'allegro', asked for 'leap': name one of 'leap', or make it (every script takes "
        "--config.hand=leap), or go on with --config.hand=allegro"
    )
