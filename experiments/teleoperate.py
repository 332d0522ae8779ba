"""An example client: a clumsy operator teleoperates a simulated hand through the server, at a fixed rate.

Reproduces: the set-up of DexterityGen (arXiv:2502.04307, section IV): a person's retargeted joints are the command and
the controller keeps the object; the person is a slow wave of the fingers with tremor.
Time: 20 s to compile, then `config.seconds`. Start experiments/serve.py first.
Expected: no tick missed at 10 Hz, and hardly a drop; `--config.released=True` shows the operator without help.
Command: python experiments/teleoperate.py --config=experiments/configs/teleoperate.py:laptop
"""

import launch
import numpy as np
from expert_files import build_env
from ml_collections import ConfigDict
from token_file import read_token

from dexgen_jax.deploy import loop
from dexgen_jax.deploy.client import Client
from dexgen_jax.deploy.robot import SimulatedHand
from dexgen_jax.hand import registry
from dexgen_jax.run_log import RunLog


def run(config: ConfigDict, log: RunLog) -> dict:
    """Connects hand, operator and server; the result is the loop's account and how often the object was dropped."""
    robot = SimulatedHand(build_env(config), config.seed)  # a lab puts its driver here
    tremor = np.random.default_rng(config.seed)
    grasp = robot.target

    with Client(config.address, read_token(config), timeout_s=2.0) as client:
        registry.refuse_other(f"the controller at {config.address}", client.describe()["hand"], robot.hand.name)
        client.reset(robot.read_joints(), robot.target)
        client.timeout_s = 0.8 / config.rate_hz  # an answer that comes later is of no use
        drops = robot.drops

        def decide(q: np.ndarray, target: np.ndarray) -> np.ndarray:
            nonlocal grasp, drops
            if robot.drops > drops:  # a fresh grasp: the past is another hand's
                grasp, target, drops = robot.target, robot.target, robot.drops
                client.reset(q, target)
            phase = 2 * np.pi * robot.steps / (config.rate_hz * config.period)
            wave = config.amplitude * np.sin(phase + np.arange(len(q)))
            command = grasp + wave + config.tremor * tremor.standard_normal(len(q))
            action, _ = client.act(q, target, command, strength=config.strength, released=config.released)
            return action

        account = loop.run(robot, decide, robot.target, config.rate_hz, round(config.seconds * config.rate_hz))
        client.timeout_s = 2.0
        return {"drops": robot.drops, "loop": account.summary(), "server": client.statistics()["act"]}


if __name__ == "__main__":
    launch.main(run, continues=False)
