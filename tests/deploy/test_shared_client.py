"""One client used by several threads, by a forked process, and by somebody who interrupts it."""

import multiprocessing
import threading

import numpy as np
import pytest
import zmq
from counting_session import MIDDLE

from dexgen_jax.deploy.client import Client


def test_threads_that_share_a_client_all_get_their_answers(serve, sessions):
    def ask(answers):
        answers.extend(client.act(MIDDLE, MIDDLE)[0] for _ in range(50))

    with Client(serve().address, timeout_s=120) as client:
        client.reset(MIDDLE)
        answers = [[], []]
        threads = [threading.Thread(target=ask, args=(mine,)) for mine in answers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    # The session counts its ticks, so two answers alike would be one answer given twice.
    counts = sorted(round(1e3 * float(target[0] - MIDDLE[0])) for mine in answers for target in mine)
    assert counts == list(range(1, 101))


def test_a_thread_that_waits_for_another_gives_up_in_time(serve):
    with Client(serve().address, timeout_s=0.05) as client:
        with client._asking, pytest.raises(TimeoutError, match="another thread waits for .*, and did so for 0.05 s"):
            client.reset(MIDDLE)


def test_a_forked_process_is_told_to_make_its_own(serve):
    def child(client, told):
        try:
            client.act(MIDDLE, MIDDLE)
        except RuntimeError as error:
            told.put(str(error))
        client.close()

    fork = multiprocessing.get_context("fork")
    told = fork.SimpleQueue()
    with Client(serve().address, timeout_s=120) as client:
        client.reset(MIDDLE)
        process = fork.Process(target=child, args=(client, told))
        process.start()
        process.join(120)
        if process.is_alive():
            process.kill()
        assert process.exitcode == 0 and "forked from it: make a Client here" in told.get()
        client.act(MIDDLE, MIDDLE)  # the parent's connection is unharmed


def test_a_closed_client_says_so(serve):
    client = Client(serve().address)
    client.reset(MIDDLE)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="this client of tcp://.* is closed: make another Client"):
        client.act(MIDDLE, MIDDLE)


def test_a_server_that_goes_between_the_look_and_the_sending_costs_no_wait(monkeypatch):
    with Client("tcp://127.0.0.1:9", timeout_s=5.0) as client:
        with monkeypatch.context() as patch, pytest.raises(TimeoutError, match="went away: is the server running"):
            patch.setattr(client, "_wait", lambda event, latest: None)  # it was there a moment ago
            client.describe()
        client.timeout_s = 0.05


def test_an_interrupted_question_leaves_the_client_usable(serve, monkeypatch):
    def interrupt(event, latest):
        if event == zmq.POLLIN:  # the question is under way
            raise KeyboardInterrupt

    with Client(serve().address, timeout_s=120) as client:
        client.reset(MIDDLE)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(client, "_wait", interrupt)
            client.act(MIDDLE, MIDDLE)
        target, _ = client.act(MIDDLE, MIDDLE)
    np.testing.assert_array_equal(target, MIDDLE + np.float32(0.002))
