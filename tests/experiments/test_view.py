"""What the viewer's script refuses, before anything is compiled. The page itself: tests/viz/test_viewer.py."""

import json
import socket
from pathlib import Path

import command_line
import pytest
import settings
import view
import view_session

from dexgen_jax.hand import allegro

EXPERIMENTS = Path(view.__file__).parent


@pytest.fixture
def config(tmp_path):
    config = command_line.load(f"{EXPERIMENTS}/configs/view.py:smoke", EXPERIMENTS)
    config.run_dir = str(tmp_path)
    return config


@pytest.fixture
def with_viser(monkeypatch):
    """As if viser was installed: it is not looked at before the first page."""
    monkeypatch.setattr(view.viewer, "require_viser", lambda: None)


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("objects", "cube_56", "no object named .cube_56.; nearest: cube_"),
        ("controller", "nowhere", "config.controller is 'nowhere', and there is no such file or folder"),
        ("operators", ("clumsy",), "no operator 'clumsy'; an operator is one of noisy, slow, clean"),
        ("wrist", "palm left", "wrist is 'palm left' and help 'helped': a wrist is one of palm up"),
        ("evaluation", "nowhere", "config.evaluation is 'nowhere', and there is no such file or folder"),
        ("token_file", "nowhere", "config.token_file is 'nowhere', and there is no such file or folder"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_start(config, key, value, words):
    config[key] = value
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        settings.refuse(config, "view")


def test_what_is_as_shipped_is_not_refused(config):
    settings.refuse(config, "view")


@pytest.mark.parametrize("address, words", [
    ("http://0.0.0.0:8080", "http://0.0.0.0:8080 can be reached from other machines: set a token, or listen on http://"),
    ("tcp://127.0.0.1:8080", "an address is http://HOST:PORT, got 'tcp://127.0.0.1:8080'"),
])  # fmt: skip
@pytest.mark.usefixtures("with_viser")
def test_an_address_of_others_reach_needs_a_token(config, address, words):
    config.address = address
    with pytest.raises(ValueError, match=words):
        view.check(config)


@pytest.mark.usefixtures("with_viser")
def test_a_token_opens_any_address_and_a_short_one_none(config, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("a secret of some length\n")
    secret.chmod(0o600)
    config.address, config.token_file = "http://127.0.0.1:0", str(secret)
    host, port, token = view.check(config)
    assert (host, token) == ("127.0.0.1", "a secret of some length") and port > 0
    secret.write_text("too short")
    with pytest.raises(ValueError, match="the token has 9 characters, and 16 is the least"):
        view.check(config)


@pytest.mark.usefixtures("with_viser")
def test_a_port_in_use_is_named_before_anything_is_compiled(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config.address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match="the port is in use; choose another"):
            view.check(config)


def test_a_dataset_and_the_rows_of_an_evaluation_can_be_shown_again(config, tmp_path):
    config.evaluation = str(tmp_path)
    with pytest.raises(FileNotFoundError, match="no rows.jsonl in .*: name the folder of an evaluation"):
        view_session.kept(config, allegro.load())
    for case in (("noisy 1.5", "alone", None), ("noisy 1.5", "controller", 1.0)):
        row = dict(zip(("operator", "helper", "strength"), case, strict=True))
        with (tmp_path / "rows.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
    shelf = view_session.kept(config, allegro.load())
    assert list(shelf) == ["noisy 1.5, alone", "noisy 1.5, helped, strength 1"]
    with pytest.raises(ValueError, match=r"cannot read .*noisy_1.5-alone.msgpack"):
        shelf["noisy 1.5, alone"](0)


def test_operators_are_those_of_the_evaluation():
    import numpy as np

    wanted = np.full(16, 0.5, np.float32)
    chance = np.random.default_rng(0)
    np.testing.assert_array_equal(view_session.spoiled("clean", allegro.load())(wanted, chance), wanted)
    noisy = view_session.spoiled("noisy 0.5", allegro.load())(wanted, chance)
    assert 0.1 < np.abs(noisy - wanted).max() <= 0.5
