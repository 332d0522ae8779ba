"""The snippets of docs/deploy.md run as they stand, one after the other, with stand-ins for what a reader brings.

The reader's robot and operator stand still; the loop ends after three ticks; the server listens on a free port. The
block that opens the file without this package runs in a process of its own, in test_export.py.
"""

import functools
import shutil
import threading

import numpy as np
import pytest
from snippets import ROOT, python_blocks
from test_loop import FakeClock

from dexgen_jax.deploy import client, contract, exported, loop, onnx_file
from dexgen_jax.deploy.server import Server


@pytest.fixture
def address(controller):
    """A server of the small controller."""
    q = np.asarray(controller.model.hand.prior.joint_mean)
    controller.reset(q)
    server = Server(contract.describe(controller), controller.twin, "tcp://127.0.0.1:*")
    over = threading.Event()
    thread = threading.Thread(target=server.serve, args=(over.is_set,))
    thread.start()
    yield server.address
    over.set()
    thread.join(120)
    server.close()


@pytest.fixture
def folder(controller, file, graph, tmp_path, monkeypatch):
    """A working directory with the files that the page names."""
    controller.save(tmp_path / "runs" / "demo" / "controller")
    shutil.copy(file, tmp_path / "controller.zip")
    shutil.copy(exported.__file__, tmp_path / "exported.py")
    shutil.copy(graph, tmp_path / "controller.onnx")
    onnx_file.write_joint_command(controller, tmp_path / "command_joints.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_page_runs_from_top_to_bottom(folder, address, controller, monkeypatch, capsys):
    monkeypatch.setattr(loop, "run", functools.partial(loop.run, ticks=3, clock=FakeClock()))
    connect = client.Client
    monkeypatch.setattr(client, "Client", lambda asked, timeout_s: connect(address, timeout_s=120))
    q = np.float32(controller.model.hand.prior.joint_mean)
    known = {"operator": lambda: q, "q": q, "target": q, "wanted": q + np.float32(0.05)}
    known["rng"] = np.random.default_rng(0)
    ran = 0
    for number, block in enumerate(python_blocks(ROOT / "docs" / "deploy.md")):
        if "zipfile" in block:
            continue
        exec(compile(block, f"docs/deploy.md, snippet {number}", "exec"), known)
        ran += 1
        if "class MyHand" in block:
            known["MyHand"].read_joints = known["MyHand"].targets = lambda self: q  # the reader's driver
        assert np.shape(known["target"]) == q.shape and np.isfinite(known["target"]).all()
    assert ran >= 5 and "'ticks': 3" in capsys.readouterr().out
