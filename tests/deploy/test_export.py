import copy
import hashlib
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import processes
import pytest

from dexgen_jax.controller.safety import Event
from dexgen_jax.deploy import check, contract, export, exported
from dexgen_jax.deploy.exported import Exported

ROOT = Path(__file__).resolve().parents[2]

# A process that finds the standard library and OWN; nothing else is there to it.
JAX = ("jax", "jaxlib", "numpy", "scipy", "opt_einsum", "ml_dtypes")  # and what it needs itself
ALONE = """
import sys
from importlib.machinery import PathFinder
FOUND = {*sys.stdlib_module_names, *OWN}
class Alone:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        return PathFinder.find_spec(name, path, target) if top in FOUND or top.startswith("_sysconfig") else None
sys.meta_path[:] = [finder for finder in sys.meta_path if "Importer" in str(finder)] + [Alone()]
"""


@pytest.fixture(scope="module")
def expected(controller):
    return check.expected(controller)


def run_alone(code: str, folder: Path, *own: str) -> processes.Done:
    """Runs `code` in a process that finds the modules `own`, installed or in `folder`, and nothing else."""
    code = f"OWN = {own!r}\n" + ALONE + code
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return processes.run([sys.executable, "-c", code], cwd=folder, env=environment)


def test_a_hundred_ticks_are_the_controllers(robot, controller, expected):
    state, said = check.first(controller), check.inputs(controller)
    for now in range(check.COUNT):
        outputs, state = robot.tick(state, {name: value[now] for name, value in said.items()})
        for name, value in outputs.items():
            np.testing.assert_allclose(value, expected[name][now], atol=1e-5, rtol=1e-5, err_msg=f"{name} at {now}")


def test_the_check_sees_it_too_and_sees_another_controller(file, controller):
    assert check.difference_of_zip(controller, file) < 1e-5
    other = copy.copy(controller)
    other.weights = jax.tree.map(lambda x: x * np.float32(1.001), jax.device_get(controller.weights))
    assert check.difference_of_zip(other, file) > 1e-4


def test_those_ticks_met_every_event(expected):
    met = np.bitwise_or.reduce(expected["events"])
    assert met == sum(event for event in Event if event != Event.HELD) - Event.BAD_ACTION


COPIED = """
from exported import Exported
tick = Exported("controller.zip", kinds=()).tick
"""
DOCS = (ROOT / "docs" / "deploy.md").read_text().split("runs this block -->\n```python\n")[1].split("```")[0]
SHOWN = DOCS + "\ntick = functools.partial(tick, weights)\n"
LOADERS = {"exported": COPIED, "shown": SHOWN}
TICKS = """
import functools
import numpy as np
said = dict(np.load("said.npz"))
for way, loader in LOADERS.items():
    exec(loader)
    state, actions = dict(np.load("first.npz")), []
    for now in range(len(said["q"])):
        outputs, state = tick(state, {name: value[now] for name, value in said.items()})
        actions.append(outputs["action"])
    np.save(f"{way}.npy", np.stack(actions))
for name in ("dexgen_jax", "flax", "flatbuffers"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
"""


def test_without_this_package_and_flax_a_hundred_actions_are_the_same(file, controller, expected, tmp_path):
    """With exported.py copied beside the file, and with the lines that the docs show."""
    np.savez(tmp_path / "said.npz", **check.inputs(controller))
    np.savez(tmp_path / "first.npz", **check.first(controller))
    shutil.copy(file, tmp_path / "controller.zip")
    shutil.copy(exported.__file__, tmp_path / "exported.py")
    done = run_alone(f"LOADERS = {LOADERS!r}\n{TICKS}", tmp_path, "exported", *JAX)
    assert done.returncode == 0, done.stderr
    absent = [f"No module named '{name}'" for name in ("dexgen_jax", "flax", "flatbuffers")]
    assert done.stdout.splitlines() == absent
    for way in LOADERS:
        np.testing.assert_allclose(np.load(tmp_path / f"{way}.npy"), expected["action"], atol=1e-5, err_msg=way)


def test_a_robot_that_asks_a_server_needs_no_jax():
    code = "from dexgen_jax.deploy.client import Client; print(Client.act.__doc__)"
    done = run_alone(code, ROOT, "dexgen_jax", "numpy", "zmq", "msgpack")
    assert done.returncode == 0 and "strength: how much" in done.stdout, done.stderr


def test_the_class_acts_like_the_controller(robot, controller):
    """Random bits differ, so they are compared where none matter: told to go with infinite strength, or released."""
    hand = controller.model.hand
    q = ((hand.lower + hand.upper) / 2).astype(np.float32)
    for each in (robot, controller):
        each.reset(q, q + 0.05)
    for how in ({"strength": np.inf}, {"strength": 0.0, "released": True}, {"strength": 0.1, "age": 9.0}):
        action, told = robot.act(q, q + 0.05, q + 0.1, mode="free_motion", **how)
        wanted, diagnostics = controller.act(q, q + 0.05, q + 0.1, mode="free_motion", **how)
        np.testing.assert_allclose(action, wanted, atol=1e-4)
        assert told["events"] == diagnostics.events
    tips = np.full((hand.num_tips, 3), 0.05, np.float32)
    action, told = robot.act(q, q, tips, "tip_positions", strength=np.inf)
    wanted, diagnostics = controller.act(q, q, tips, "tip_positions", strength=np.inf)
    np.testing.assert_allclose(action, wanted, atol=1e-4)
    free, _ = robot.act(q, q)
    assert np.all((free >= hand.lower - 1e-6) & (free <= hand.upper + 1e-6))


def test_the_contract_says_what_a_driver_needs(file, controller):
    terms, hand = json.loads(exported.read(file)["contract.json"]), controller.model.hand
    assert terms["joints"]["names"] == list(hand.joint_names) and terms["joints"]["unit"] == "rad"
    np.testing.assert_allclose(terms["joints"]["upper"], hand.upper)
    assert (terms["control_hz"], terms["history"], terms["modes"][0]) == (10.0, 4, "default")
    assert terms["commands"]["tip_positions"] == {
        "shape": [4, 3],
        "unit": "m",
        "measured_from": "the palm's origin",
    }
    assert terms["events"]["LATE"] == 2 and terms["held_if"] == 7 and terms["limits"]["max_step"] == 0.15
    assert terms["platforms"] == ["cpu", "cuda", "tpu"]
    assert {name: field["shape"] for name, field in terms["state"].items()} == {
        "q": [4, 16],
        "target": [4, 16],
        "safe": [16],
        "wish": [16],
        "doubt": [],
    }
    assert json.loads(json.dumps(contract.describe(controller))).items() <= terms.items()


def test_the_contract_names_just_what_goes_in_and_comes_out(robot, controller):
    terms = robot.contract
    said = {name: value[0] for name, value in check.inputs(controller).items()}
    outputs, state = robot.tick(check.first(controller), said)
    for part, arrays in (("inputs", said), ("outputs", outputs), ("state", state)):
        found = {name: (list(value.shape), str(value.dtype)) for name, value in arrays.items()}
        assert found == {name: (field["shape"], field["dtype"]) for name, field in terms[part].items()}


def test_the_same_controller_gives_the_same_bytes(file, controller, tmp_path):
    export.write(controller, tmp_path / "again.zip")
    assert file.read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_no_path_of_this_machine_is_inside(file):
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            assert b"controller.py" not in archive.read(name) and str(ROOT).encode() not in archive.read(name)


def test_hashes_are_of_what_is_inside(file):
    with zipfile.ZipFile(file) as archive:
        terms = json.loads(archive.read("contract.json"))
        assert set(archive.namelist()) == {"contract.json", *terms["sha256"]}
        for name, digest in terms["sha256"].items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest


def rewritten(file: Path, path: Path, name: str, change) -> Path:
    """The file with the entry `name` changed, or left out."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            data = change(old.read(entry)) if entry == name else old.read(entry)
            if data is not None:
                new.writestr(entry, data)
    return path


def test_a_file_that_is_not_what_was_exported_is_refused(file, tmp_path):
    flip = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    for name, change in (("weights.npz", flip), ("tick.stablehlo", flip), ("tick.stablehlo", lambda data: None)):
        with pytest.raises(ValueError, match=f"bad.zip: {name} is missing or not what was exported: copy or export"):
            Exported(rewritten(file, tmp_path / "bad.zip", name, change))
    older = lambda data: data.replace(b'"version": 4', b'"version": 3')
    with pytest.raises(ValueError, match="holds 'dexgen_jax controller' version 3, and this reads .* version 4"):
        Exported(rewritten(file, tmp_path / "old.zip", "contract.json", older))
    (tmp_path / "short.zip").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="short.zip is damaged or no exported controller"):
        Exported(tmp_path / "short.zip")
    with pytest.raises(FileNotFoundError):
        Exported(tmp_path / "none.zip")


def test_a_flipped_bit_is_refused_or_is_where_nothing_is_read(tmp_path):
    weights = export._npz({"layer": np.arange(3, dtype=np.float32)})
    terms = {"format": exported.FORMAT, "version": exported.VERSION}
    terms |= {"sha256": {"weights.npz": hashlib.sha256(weights).hexdigest()}}
    whole = export._zip({"contract.json": json.dumps(terms).encode(), "weights.npz": weights})
    path, refused = tmp_path / "flipped.zip", 0
    path.write_bytes(whole)
    content = exported.read(path)
    bits = np.random.default_rng(0).choice(8 * len(whole), 1000, replace=False)
    for bit in bits:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            # A time stamp, for instance, or what the directory at the end says again.
            assert exported.read(path) == content
        except ValueError:
            refused += 1
    assert refused > 500


def test_errors_name_what_exists(robot, file, controller, tmp_path):
    q = np.zeros(16, np.float32)
    fresh = copy.copy(robot)
    fresh._state = None
    with pytest.raises(RuntimeError, match=r"call reset\(q\)"):
        fresh.act(q, q)
    robot.reset(q)
    with pytest.raises(ValueError, match="unknown mode 'spin'; there is default, precision_rotation"):
        robot.act(q, q, mode="spin")
    with pytest.raises(ValueError, match="target of joint ff_.* is 3 rad, and its limits are -0.47 to 0.47 rad"):
        robot.reset(q, q + 3)
    with pytest.raises(ValueError, match="loaded for commands of joints, tip_positions, got 'tip_offsets'"):
        robot.act(q, q, np.zeros((4, 3)), kind="tip_offsets", strength=0.1)
    with pytest.raises(ValueError, match=r"a command of joints has shape \(16,\), got \(4, 3\)"):
        robot.act(q, q, np.zeros((4, 3)), strength=0.1)
    with pytest.raises(ValueError, match=r"q \[rad\] of the allegro hand has shape \(16,\), got \(12,\)"):
        robot.reset(q[:12])
    with pytest.raises(ValueError, match="unknown kind of command 'wish'; there is joints, "):
        Exported(file, kinds=("wish",))
    with pytest.raises(ValueError, match="an exported controller is a .zip file, got 'controller.onnx'"):
        export.write(controller, tmp_path / "controller.onnx")


def test_no_tick_compiles(robot, caplog):
    q = np.zeros(16, np.float32)
    with jax.log_compiles():
        robot.reset(q)
        for kind, shape in (("joints", 16), ("tip_positions", (4, 3))):
            robot.act(q, q, np.zeros(shape), kind, strength=0.1)
    assert not [record.message for record in caplog.records if "ompil" in record.message]
