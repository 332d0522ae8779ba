"""What a robot's loop meets when its server goes and comes back, or their connection breaks."""

import os
from pathlib import Path

import numpy as np
import pytest
import zmq
from counting_session import CONTRACT, DIAGNOSTICS, MIDDLE
from test_loop import FakeClock, FakeRobot

from dexgen_jax.deploy import loop
from dexgen_jax.deploy.client import Client


def drive(client, robot, before=lambda tick: None, ticks=8):
    """The loop with this client; `before(tick)` is called before each decision."""
    ticking = iter(range(ticks))

    def decide(q, target):
        before(next(ticking))
        return client.act(q, target, target + 0.01)[0]

    return loop.run(robot, decide, MIDDLE, 10, ticks, clock=robot.clock)


def gone(serve, server, client):
    """Stops the server and waits until the client has noticed: what it writes before that is lost with the server."""
    serve.stop(server)
    while client._socket.poll(1, zmq.POLLOUT):
        pass


def test_a_restarted_server_costs_one_tick_and_knows_the_hand_again(serve, sessions):
    server = serve()

    def restart(tick):
        nonlocal server
        if tick == 3:
            gone(serve, server, client)
            server = serve(address=server.address)

    robot = FakeRobot(FakeClock(), [MIDDLE + np.float32(0.01) * tick for tick in range(8)])
    with Client(server.address, timeout_s=120) as client:
        client.reset(MIDDLE)
        account = drive(client, robot, restart)
    assert account.summary()["held"] == {"reset, for the server had forgotten the hand": 1} and account.ticks == 8
    np.testing.assert_array_equal(robot.set[3], robot.set[2])
    before, after = sessions
    assert (len(before.acts), len(after.acts)) == (3, 4)
    for reading, told in zip(after.resets[0], (MIDDLE + np.float32(0.03), robot.set[2]), strict=True):
        np.testing.assert_array_equal(reading, told)  # the last reading, the target in force


def test_a_server_that_is_away_costs_only_the_ticks_until_it_is_back(serve):
    server = serve()

    def go_and_come(tick):
        nonlocal server
        if tick == 3:
            gone(serve, server, client)
        if tick == 5:
            server, client.timeout_s = serve(address=server.address), 120

    with Client(server.address, timeout_s=120) as client:
        client.reset(MIDDLE)
        client.timeout_s = 0.05
        account = drive(client, FakeRobot(FakeClock(), [MIDDLE]), go_and_come)
    assert account.summary()["held"] == {loop.NO_DECISION: 2, loop.FORGOTTEN: 1} and account.ticks == 8


def test_a_broken_connection_costs_no_memory_though_the_server_has_not_noticed(serve, sessions):
    with Client(serve(max_clients=1).address, timeout_s=120) as client:
        client.reset(MIDDLE)
        client.act(MIDDLE, MIDDLE)
        half_open, client._socket = client._socket, client._connect()
        np.testing.assert_array_equal(client.act(MIDDLE, MIDDLE)[0], MIDDLE + np.float32(0.002))
        half_open.close()
        np.testing.assert_array_equal(client.act(MIDDLE, MIDDLE)[0], MIDDLE + np.float32(0.003))
    assert len(sessions) == 1


def test_a_server_that_comes_back_with_other_joints_moves_nothing(serve, sessions):
    server = serve()
    with Client(server.address, timeout_s=120) as client:
        client.reset(MIDDLE)
        gone(serve, server, client)
        serve({**CONTRACT, "joints": {"names": ["others"]}}, address=server.address)
        with pytest.raises(ValueError, match="came back with a controller for other joints.*then call reset"):
            client.act(MIDDLE, MIDDLE)
        with pytest.raises(RuntimeError, match="call reset"):
            client.act(MIDDLE, MIDDLE)
        client.reset(MIDDLE)
        client.act(MIDDLE, MIDDLE)
    assert [len(session.acts) for session in sessions] == [0, 1]


def test_before_the_first_reset_nothing_is_asked(serve, sessions):
    with Client(serve().address) as client, pytest.raises(RuntimeError, match=r"call reset\(q\) before the first act"):
        client.act(MIDDLE, MIDDLE)
    assert not sessions


class Forgetful:
    """A session that keeps nothing, so that what grows is the server's or the client's."""

    def reset(self, q, target):
        pass

    def act(self, q, target, command, **how):
        return target, DIAGNOSTICS


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.parametrize("ticks", [2_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_ten_restarts_in_a_long_run_stop_nothing_and_leave_nothing_behind(ticks, serve):
    """Server and client share this process, so its memory is that of both sides; the robot keeps nothing either."""
    server, memory, count = serve(new_session=Forgetful), [], 0

    def decide(q, target):
        nonlocal server, count
        count += 1
        if count % (ticks // 10) == 0:
            memory.append(resident_mb())
            gone(serve, server, client)
            server = serve(address=server.address, new_session=Forgetful)
        return client.act(q, target, target)[0]

    robot = FakeRobot(FakeClock(), [MIDDLE])
    robot.set_targets = lambda target: None
    with Client(server.address, timeout_s=120) as client:
        client.reset(MIDDLE)
        account = loop.run(robot, decide, MIDDLE, 10, ticks, clock=robot.clock)
    print(f"resident at each restart [MB]: {memory}")
    assert account.ticks == ticks and account.summary()["held"] == {loop.FORGOTTEN: 10}
    assert memory[-1] - memory[1] < 5
