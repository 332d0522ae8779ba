"""Laws: one word names an artefact everywhere, and a word that names none is told what does."""

from pathlib import Path

import pytest

from dexgen_jax import pretrained
from dexgen_jax.objects import catalog


@pytest.mark.parametrize(
    "kind, which, folder",
    [
        ("expert", "shipped", pretrained.ROOT / "anygrasp_expert"),
        ("expert", "shipped:fine_rotation", pretrained.ROOT / "fine_rotation_expert"),
        ("controller", "shipped", pretrained.ROOT / "controller"),
        ("controller", "shipped:leap", pretrained.ROOT / "leap_controller"),
        ("grasps", "run", Path("runs/demo/grasps")),
        ("dataset", "run", Path("runs/demo/dataset")),
        ("grasps", "runs/other/grasps", Path("runs/other/grasps")),
        ("expert", Path("mine"), Path("mine")),
    ],
)
def test_run_shipped_and_folders(kind, which, folder):
    assert pretrained.find(kind, which, "runs/demo") == folder


@pytest.mark.parametrize("kind", ["expert", "controller"])
def test_what_is_shipped_is_there_and_whole(kind):
    for name in pretrained.names(kind):
        folder = pretrained.path(kind, name)
        assert {file.name for file in folder.iterdir()} >= {"README.md", "config.json", "weights.npz"}


def test_grasps_are_shipped_of_every_object():
    found = {file.stem for file in pretrained.path("grasps").glob("*.npz")}
    assert found == {*catalog.TRAIN, *catalog.HELD_OUT}
    leap = {file.stem for file in pretrained.find("grasps", "shipped", hand="leap").glob("*.npz")}
    assert leap >= set(catalog.STARTER) and len(leap & {*catalog.TRAIN}) == 16 and len(leap & {*catalog.HELD_OUT}) == 5


def test_words_that_name_nothing_say_what_does():
    with pytest.raises(FileNotFoundError, match="no shipped expert named 'juggler'; there are: anygrasp,"):
        pretrained.find("expert", "shipped:juggler", "run")
    with pytest.raises(FileNotFoundError, match="the package brings no dataset of the hand 'allegro': make one"):
        pretrained.find("dataset", "shipped", "run")
    with pytest.raises(FileNotFoundError, match="the package brings no grasps of the hand 'mitten': make one"):
        pretrained.find("grasps", "shipped", hand="mitten")
    with pytest.raises(ValueError, match="'' names no grasps: say 'shipped', 'shipped:NAME' or a folder, or run for"):
        pretrained.find("grasps", "", "runs/demo")
    with pytest.raises(ValueError, match="'run' names no controller: say 'shipped', 'shipped:NAME' or a folder$"):
        pretrained.find("controller", "run")
    with pytest.raises(FileNotFoundError, match="no folder 'shiped' for the expert: say 'shipped'"):
        pretrained.find("expert", "shiped")
    with pytest.raises(ValueError, match="unknown kind 'robot'; there are: expert, controller, grasps, dataset"):
        pretrained.path("robot")
