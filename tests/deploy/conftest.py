import threading

import counting_session
import pytest

from dexgen_jax.deploy.server import Server


@pytest.fixture
def sessions():
    return []


@pytest.fixture
def serve(sessions):
    """`serve(token=...)`: a server in a thread of its own, stopped at the end; its sessions gather in `sessions`."""
    running = []

    def new_session():
        sessions.append(counting_session.CountingSession())
        return sessions[-1]

    def start(**settings):
        contract = {"modes": ["default", "free_motion"]}
        settings = {"address": "tcp://127.0.0.1:*", **settings}
        server, over = Server(contract, counting_session.HAND, new_session, **settings), threading.Event()
        thread = threading.Thread(target=server.serve, args=(over.is_set,))
        thread.start()
        running.append((server, over, thread))
        return server

    yield start
    for server, over, thread in running:
        over.set()
        thread.join(10)
        assert not thread.is_alive()
        server.close()
