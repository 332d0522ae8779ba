"""Settings of anygrasp_ppo.py for fine rotation: elongated objects turn about their axis at a commanded speed.

Reproduces: the fine-grained manipulation of arXiv:2502.04307, section III-B (mode "precision rotation").
Time on 2 cores: smoke 30 s, laptop 30 min. Expected: 5% of the commanded speed after 1.3 million control steps from
the shipped Anygrasp expert (dexgen_jax/pretrained/fine_rotation_expert/README.md); a new policy learns to hold first.
Command: python experiments/anygrasp_ppo.py --config=experiments/configs/fine_rotation.py:laptop
With --config.start_from=dexgen_jax/pretrained/anygrasp_expert --config.grasps=shipped --config.env.sees_all=True
--config.network.carries=True it goes on from that expert.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

OBJECTS = {"smoke": "cylinder_40_90", "laptop": "rod_30_150,rod_36_110,cylinder_40_90,screwdriver_34_80_50"}


def get_config(size: str = "laptop") -> ConfigDict:
    anygrasp = runpy.run_path(str(Path(__file__).with_name("anygrasp_ppo.py")))["get_config"]
    config = anygrasp(size)  # networks, PPO, grasps and evaluation as there
    config.task = "fine_rotation"
    config.run_dir = "runs/fine_rotation"  # folder of the run
    config.objects = OBJECTS.get(size, OBJECTS["laptop"])

    config.env = ConfigDict()  # fields of FineRotationConfig
    config.env.speed = (0.3, 1.0)  # rad/s, range of the commanded speed, either way
    config.env.turn = 0.8  # rad in the commanded direction that count as a goal
    config.env.hold_steps = 5  # control steps that such a turn must last: shaking passes through it by chance
    config.env.most_lead = 0.8  # rad that the marker, which turns at the commanded speed, may be away from the object
    config.env.episode_steps = 200  # control steps until truncation
    config.env.sees_all = False  # the actor sees all that the simulator knows; the shipped Anygrasp expert does
    config.env.reward = ConfigDict()
    config.env.reward.position = 0.5  # per 2 cm nearer to the marker's place
    config.env.reward.rotation = 2.0  # per 0.4 rad nearer to the marker, which turns at the commanded speed
    config.env.reward.joints = 0.25  # per 0.3 rad nearer to the joints of the start
    config.env.reward.success = 5.0  # per goal
    config.env.reward.drop = -3.0  # per drop
    config.env.reward.tip_speed = 0.0  # per m/s of the fingertips
    config.env.randomization = ConfigDict()
    config.env.randomization.gravity_angle = 3.1416  # rad around palm-up; pi is any direction
    return config
