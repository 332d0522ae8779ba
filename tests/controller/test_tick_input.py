import inspect
import re
import sys
import types

import jax
import numpy as np
import pytest
from snippets import ROOT

import dexgen_jax.controller
from dexgen_jax.controller import commands, controller, fields, tick_input
from dexgen_jax.controller.model import Model
from dexgen_jax.controller.tick_input import TickInput
from dexgen_jax.deploy import contract, messages

LISTS = {"modes": ("default", "spin")}


def test_shapes_are_words_for_the_sizes_of_hand_and_model():
    found = fields.of(controller.Diagnostics, fields.sizes(Model()))
    assert found["motion"].shape == (2, 8, 3) and found["events"].shape == () and found["events"].dtype == "int32"
    assert fields.of(controller.State, fields.sizes(Model()))["q"].shape == (4, 16)
    assert fields.of(commands.Command)["offsets"].shape == ("keypoints", "3")  # of any hand


def test_every_array_of_a_tick_is_in_the_contract():
    declared = [
        name
        for each in (TickInput, controller.State, controller.Diagnostics, commands.Command)
        for name in inspect.get_annotations(each)
        if name != "command"
    ]
    parts = contract.describe_tick(Model())
    said = [field for part in ("state", "inputs", "outputs") for field in parts[part].values()]
    assert len(said) == len(declared) + 1  # and the action


def test_what_is_not_said_is_the_default_and_what_is_said_is_checked():
    known = tick_input.options(fields.sizes(Model()))
    told = tick_input.read({"mode": "spin", "age": 0.5}, known, LISTS)
    wanted = {"age": 0.5, "mode": 1, "strength": 1.0, "released": False}
    assert {name: told[name].item() for name in wanted} == wanted
    assert {name: value.dtype for name, value in told.items()} == {name: field.dtype for name, field in known.items()}
    with pytest.raises(ValueError, match="unknown mode 'dance'; there is default, spin"):
        tick_input.read({"mode": "dance"}, known, LISTS)
    with pytest.raises(ValueError, match=r"age has shape \(\), got \(2,\)"):
        tick_input.read({"age": [0.1, 0.2]}, known, LISTS)
    with pytest.raises(ValueError, match="a tick has no option 'later'; there is age, mode, strength, released"):
        tick_input.read({"later": 1}, known, LISTS)


def test_help_names_the_options():
    assert "age: age of the reading [s]; if nothing is said 0.0" in inspect.getdoc(controller.Controller.act)


def patched(name: str) -> str:
    """The source of a file of this project, with what docs/extend.md adds to it."""
    (diff,) = re.findall(r"```diff\n(.*?)```", (ROOT / "docs" / "extend.md").read_text(), re.DOTALL)
    (lines,) = re.findall(rf"^\+\+\+ {name}\n((?:[ +](?!\+\+).*\n)*)", diff, re.MULTILINE)
    before = "".join(line[1:] for line in lines.splitlines(True) if line[0] == " ")
    source = (ROOT / name).read_text()
    assert source.count(before) == 1, f"docs/extend.md shows lines of {name} that are not there"
    return source.replace(before, "".join(line[1:] for line in lines.splitlines(True)))


@pytest.fixture
def extended(monkeypatch):
    """`controller.py` with the example's input."""
    found = {}
    for name in ("tick_input", "controller"):
        found[name] = types.ModuleType(f"dexgen_jax.controller.{name}")
        monkeypatch.setitem(sys.modules, f"dexgen_jax.controller.{name}", found[name])
        monkeypatch.setattr(dexgen_jax.controller, name, found[name])
        exec(patched(f"dexgen_jax/controller/{name}.py"), vars(found[name]))
    monkeypatch.setattr(contract, "TickInput", found["tick_input"].TickInput)
    return found["controller"]


def test_an_input_is_added_in_two_places_and_everybody_knows_it(extended, tiny, untrained):
    terms = contract.describe_tick(tiny)
    assert terms["inputs"]["pace"]["default"] == 1
    assert messages.tick_input({"pace": 0.25}, "pace", terms) == 0.25
    with pytest.raises(ValueError, match="pace must hold numbers, got True"):
        messages.tick_input({"pace": True}, "pace", terms)
    assert "pace: share of the way" in inspect.getdoc(extended.Controller.act)
    q = np.float32(tiny.hand.prior.joint_mean)
    said = {"q": q, "target": q, "command": commands.none(tiny.hand, q), "key": jax.random.PRNGKey(0)}
    act = lambda **more: extended.act(tiny, untrained, extended.reset(tiny, q, q), extended.TickInput(**said, **more))
    assert jax.make_jaxpr(lambda pace: act(pace=pace)[0])(0.5).out_avals[0].shape == q.shape
