import threading

import counting_session
import jax
import numpy as np
import pytest

from dexgen_jax.controller.controller import Controller
from dexgen_jax.controller.model import Model, Weights
from dexgen_jax.dataset import windows
from dexgen_jax.dataset.normalizer import Normalizer
from dexgen_jax.deploy import export
from dexgen_jax.deploy.client import Client
from dexgen_jax.deploy.exported import Exported
from dexgen_jax.deploy.server import Server


@pytest.fixture(scope="session")
def controller():
    """Small untrained networks with statistics in which no two numbers are alike.

    Not smaller: normalising a group of two numbers, as at width 16, makes a step of any rounding error.
    """
    model = Model(width=64, encoder_width=16, inverse_width=16, inverse_blocks=1, sampling_steps=2, diffusion_steps=20)
    rng, shape = np.random.default_rng(0), (model.history, windows.condition_size(model.hand))
    joints = model.hand.num_joints
    statistics = Normalizer(
        0.1 * rng.normal(size=shape),
        rng.uniform(0.5, 1.0, shape),
        np.array([0.005, 0.009]),
        0.01 * rng.normal(size=joints),
        rng.uniform(0.02, 0.06, joints),
    )
    statistics = jax.tree.map(np.float32, statistics)
    parameters = jax.jit(model.initial_parameters)(jax.random.PRNGKey(2))
    return Controller(model, Weights(**parameters, normalizer=statistics), seed=3)


@pytest.fixture(scope="session")
def file(controller, tmp_path_factory):
    """The controller as an exported file."""
    path = tmp_path_factory.mktemp("export") / "controller.zip"
    export.write(controller, path)
    return path


@pytest.fixture(scope="session")
def robot(file):
    return Exported(file, kinds=("joints", "tip_positions"))


@pytest.fixture(scope="session")
def graph(controller, tmp_path_factory):
    """The controller as an ONNX file."""
    pytest.importorskip("onnx")
    from dexgen_jax.deploy import onnx_file

    path = tmp_path_factory.mktemp("onnx") / "controller.onnx"
    onnx_file.write(controller, path)
    return path


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Clients wait for as long as a busy machine may need, unless a test says how long."""
    *before, _ = Client.__init__.__defaults__
    monkeypatch.setattr(Client.__init__, "__defaults__", (*before, 120.0))


@pytest.fixture
def sessions():
    return []


@pytest.fixture
def serve(sessions):
    """`serve(token=...)`: a server in a thread of its own, stopped at the end; its sessions gather in `sessions`.

    `serve.stop(server)` stops one before.
    """
    running = {}

    def new_session():
        sessions.append(counting_session.CountingSession())
        return sessions[-1]

    def start(contract=counting_session.CONTRACT, new_session=new_session, **settings):
        settings = {"address": "tcp://127.0.0.1:*", **settings}
        server, over = Server(contract, new_session, **settings), threading.Event()
        thread = threading.Thread(target=server.serve, args=(over.is_set,))
        thread.start()
        running[server] = over, thread
        return server

    def stop(server):
        over, thread = running.pop(server)
        over.set()
        thread.join(120)
        assert not thread.is_alive()
        server.close()

    start.stop = stop
    yield start
    for server in list(running):
        stop(server)
