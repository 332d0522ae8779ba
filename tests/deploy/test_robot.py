import fake_env
import jax
import numpy as np
import pytest

from dexgen_jax.deploy import loop
from dexgen_jax.deploy.robot import SimulatedHand


@pytest.fixture
def robot():
    return SimulatedHand(fake_env.FakeEnv(reach=0.3, limits=True), seed=1)


def test_a_target_within_reach_is_in_force_after_one_step(robot):
    before = robot.target
    wanted = before + np.linspace(-0.1, 0.1, len(before), dtype=np.float32)
    robot.set_targets(wanted)
    np.testing.assert_allclose(robot.target, wanted, atol=1e-6)
    np.testing.assert_allclose(robot.read_joints(), wanted - 0.01, atol=1e-6)  # where this environment's joints go
    assert (robot.steps, robot.drops) == (1, 0)


def test_a_target_out_of_reach_is_approached(robot):
    before = robot.target
    robot.set_targets(before + 0.2)
    np.testing.assert_allclose(robot.target, before + 0.15, atol=1e-6)  # one action's reach
    robot.set_targets(before + 0.2)
    np.testing.assert_allclose(robot.target, before + 0.2, atol=1e-6)


def test_a_dropped_object_comes_back_in_a_fresh_grasp(robot):
    first = robot.target
    for _ in range(3):  # 0.45 rad away from the start, and 0.3 is too far
        robot.set_targets(robot.target + 0.15)
    assert robot.drops == 1
    assert np.abs(robot.target - first).mean() < 0.1 and not np.array_equal(robot.target, first)


def test_neither_steps_nor_drops_compile_again(robot, caplog):
    with jax.log_compiles():
        for _ in range(6):
            robot.set_targets(robot.target + 0.15)
    assert robot.drops >= 1 and not [record.message for record in caplog.records if "ompil" in record.message]
    with jax.log_compiles():
        jax.jit(lambda x: x + 1)(0)  # a compilation would have been seen
    assert [record.message for record in caplog.records if "ompil" in record.message]


def test_the_loop_drives_it(robot):
    begin = robot.target
    account = loop.run(robot, lambda q, target: target + 0.001, begin, rate_hz=100, ticks=10, patience=np.inf)
    assert account.ticks == robot.steps
    np.testing.assert_allclose(robot.target, begin + 0.001 * robot.steps, atol=1e-5)
