"""Settings of anygrasp_ppo.py: task, networks and PPO. What is not said here is as in the classes named below.

Reproduces: arXiv:2502.04307, section III-B; `:gpu` has the paper's networks, batch and number of environments.
Command: python experiments/anygrasp_ppo.py --config=experiments/configs/anygrasp_ppo.py:laptop

Measured on 2 cores:
    smoke   30 s
    laptop  30 to 40 min, 7.2 M control steps; no result of this size is recorded
    loose   the first run of the shipped expert: 7.9 M control steps, goals held for 0.5 s
    held    the second, after `loose` (75 min for both): 2.66 goals a minute, held for 0.8 s
    seeing  the third, after `held`, 3.6 M control steps: the actor sees all and builds on what geometry suggests
    shipped the fourth, after `seeing`: 3.22 goals a minute; see its card
    styles  a policy that is shown its style, after `shipped`: 1.64 M control steps, hardly tells them apart
    gpu     never run
"""

from ml_collections import ConfigDict

from dexgen_jax.defaults import fill
from dexgen_jax.envs.anygrasp import AnygraspConfig
from dexgen_jax.experts.networks import NetworkConfig
from dexgen_jax.experts.ppo import PPOConfig
from dexgen_jax.grasps.library import GraphConfig

SIZES = {
    "smoke": dict(
        objects="cube_55,sphere_64,cylinder_56_60", iterations=20, log_every=5, checkpoint_every=20, eval_envs=64,
        eval_steps=100,
    ),
    "laptop": dict(objects="starter", iterations=880, log_every=20, checkpoint_every=80),
    "loose": dict(
        run_dir="runs/expert_loose", grasps="shipped", objects="train", iterations=960, log_every=20,
        checkpoint_every=80,
    ),
    "held": dict(
        run_dir="runs/expert_held", start_from="runs/expert_loose/expert", grasps="shipped", objects="train",
        iterations=80, log_every=20, checkpoint_every=80,
    ),
    "seeing": dict(
        run_dir="runs/expert_seeing", start_from="runs/expert_held/expert", grasps="shipped", objects="train",
        iterations=220, log_every=5, checkpoint_every=20,
    ),
    "shipped": dict(
        start_from="runs/expert_seeing/expert", grasps="shipped", objects="train", iterations=80, log_every=5,
        checkpoint_every=20,
    ),
    "styles": dict(
        run_dir="runs/expert_styles", start_from="shipped", grasps="shipped", objects="train", iterations=100,
        log_every=5, checkpoint_every=20,
    ),
    "gpu": dict(objects="train", iterations=12_000, log_every=5, checkpoint_every=20, eval_envs=1024),
}  # fmt: skip
PPO = {
    "smoke": dict(num_envs=256, minibatches=2),
    "laptop": dict(num_envs=512),
    "loose": dict(num_envs=512),
    "seeing": dict(num_envs=1024, critic_first=10, learning_rate=2e-4),
    "shipped": dict(num_envs=1024, critic_first=10, learning_rate=2e-4),
    "styles": dict(num_envs=1024, critic_first=10, learning_rate=2e-4),
    "gpu": dict(num_envs=8192, minibatches=16),  # 8192 samples in each, the paper's batch
}
ENV = {
    "held": {"hold_steps": 8},
    "seeing": {
        "hold_steps": 8, "goal_steps": 50, "sees_all": True, "reward.torque": -0.002, "curriculum.start": 0.5,
        "curriculum.step": 0.01, "curriculum.rise_at": 6.0, "curriculum.fall_at": 3.0, "curriculum.tolerance": 1.0,
        "curriculum.gravity_angle": 3.1416, "curriculum.nearest_of": 3,
    },
    "shipped": {"hold_steps": 8, "sees_all": True, "reward.torque": -0.002},
    "styles": {
        "hold_steps": 8, "sees_all": True, "reward.torque": -0.002, "reward.tip_speed": -30.0, "style.shown": True,
        "style.tip_speed": (-1.0, 1.0), "style.effort": (0.0, 10.0),
    },
}  # fmt: skip
CARRIES = ("seeing", "shipped", "styles")
NETWORK = {"smoke": (64, 64), "gpu": (1024, 512, 512, 256, 256)}  # hidden layers of actor and critic


def get_config(size: str = "laptop") -> ConfigDict:
    config = ConfigDict()
    config.task = "anygrasp"  # see dexgen_jax/envs/registry.py
    config.run_dir = f"runs/{size}"  # folder of the run, the same in every stage
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.grasps = "run"  # run, shipped or a folder: see dexgen_jax/pretrained
    config.start_from = "none"  # a trained expert to go on from, in this task: none, shipped, shipped:NAME or a folder
    config.play = False  # train nothing: film a trained expert for `eval_steps`
    config.expert = "run"  # the expert to play: run, shipped, shipped:NAME or a folder
    config.seed = 0
    config.objects = ""  # a set of the catalogue or object names with commas
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.iterations = 0  # rollouts followed by an update
    config.log_every = 0  # iterations
    config.checkpoint_every = 0  # iterations
    config.eval_envs = 256
    config.eval_steps = 600  # control steps of 0.1 s
    config.update(SIZES[size])

    # Styles (`env.style`): factors on tip_speed and on the weights of action, torque and work, drawn once an episode.
    # Of `:styles` calm was meant to be (1, 1), quick (-1, 1), gentle (0, 10) and firm (0, 0), see docs/experts.md.
    config.env = fill(AnygraspConfig(), ENV.get(size))
    config.graph = fill(GraphConfig(), {"neighbours": 8} if size == "smoke" else None)
    config.ppo = fill(PPOConfig(), PPO.get(size))
    widths = {name: NETWORK[size] for name in ("actor", "critic") if size in NETWORK}
    config.network = fill(NetworkConfig(), widths | ({"carries": True} if size in CARRIES else {}))
    return config
