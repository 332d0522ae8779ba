"""Settings of anygrasp_ppo.py: task, networks and PPO.

Reproduces: arXiv:2502.04307, section III-B; `:gpu` has the paper's networks, batch and number of environments.
Time on 2 cores: smoke 30 s, laptop about 30 min. Expected: README, table of results.
Command: python experiments/anygrasp_ppo.py --config=experiments/configs/anygrasp_ppo.py:laptop
"""

from ml_collections import ConfigDict

OBJECTS = {"smoke": "cube_55,sphere_64,cylinder_56_60", "laptop": "starter", "gpu": "train"}


def get_config(size: str = "laptop") -> ConfigDict:
    config = ConfigDict()
    config.task = "anygrasp"  # see dexgen_jax/envs/registry.py
    config.run_dir = "runs/expert"  # folder of the run
    config.grasps = ""  # folder of grasp files; empty is <run_dir>/grasps
    config.start_from = ""  # folder of a trained expert to go on from, in this task; empty starts from nothing
    config.play = False  # train nothing: film a trained expert for `eval_steps`
    config.expert = ""  # folder of the expert to play; empty is <run_dir>/expert
    config.seed = 0
    config.objects = OBJECTS[size]  # a set of the catalogue or object names with commas
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.iterations = {"smoke": 20, "laptop": 880, "gpu": 12_000}[size]  # rollouts followed by an update
    config.log_every = {"smoke": 5, "laptop": 20, "gpu": 5}[size]  # iterations
    config.checkpoint_every = {"smoke": 20, "laptop": 80, "gpu": 20}[size]  # iterations
    config.eval_envs = {"smoke": 64, "laptop": 256, "gpu": 1024}[size]
    config.eval_steps = {"smoke": 100, "laptop": 600, "gpu": 600}[size]  # control steps of 0.1 s

    config.env = ConfigDict()  # fields of AnygraspConfig; nested ones too, e.g. --config.env.reward.drop=-5
    config.env.position_tolerance = 0.025  # m
    config.env.angle_tolerance = 0.4  # rad
    config.env.joint_tolerance = 0.6  # rad, root mean square
    config.env.hold_steps = 5  # control steps a goal must be held
    config.env.goal_steps = 100  # control steps after which a goal that was not reached is given up for another
    config.env.episode_steps = 200  # control steps until truncation
    config.env.sees_all = False  # the actor sees all that the simulator knows: surface, touch, torque, friction, mass
    config.env.reward = ConfigDict()
    config.env.reward.position = 0.5  # per 2 cm nearer
    config.env.reward.rotation = 2.0  # per 0.4 rad nearer
    config.env.reward.joints = 0.25  # per 0.3 rad nearer
    config.env.reward.success = 10.0  # per goal held
    config.env.reward.drop = -3.0  # per drop
    config.env.reward.torque = -0.01  # per squared N m, summed over the joints
    config.env.reward.tip_speed = 0.0  # per m/s of the fingertips: negative makes a calm expert
    # Styles: factors on tip_speed and on the weights of action, torque and work, drawn once an episode. The presets
    # of one policy that is shown them: calm (3, 1), quick (0, 1), gentle (1, 3), firm (1, 0.3).
    config.env.style = ConfigDict()
    config.env.style.tip_speed = (1.0, 1.0)  # range of the factor
    config.env.style.effort = (1.0, 1.0)  # range of the factor
    config.env.style.shown = False  # the policy sees both factors
    config.env.curriculum = ConfigDict()  # from an easier task to this one, by success; level 1 is this one
    config.env.curriculum.start = 1.0  # level at the start
    config.env.curriculum.step = 0.0  # change of the level after an iteration; 0 is no curriculum
    config.env.curriculum.rise_at = 4.0  # goals a minute above which the level rises
    config.env.curriculum.fall_at = 2.0  # goals a minute below which it falls
    config.env.curriculum.tolerance = 1.3  # factor on the tolerances at level 0
    config.env.curriculum.nearest_of = 4  # goals of which at level 0 the nearest is set
    config.env.curriculum.gravity_angle = 0.5  # rad around palm-up at level 0
    config.env.randomization = ConfigDict()
    config.env.randomization.gravity_angle = 3.1416  # rad around palm-up; pi is any direction

    config.graph = ConfigDict()
    config.graph.neighbours = 16 if size != "smoke" else 8  # goals to draw from at each grasp
    config.graph.min_angle = 0.55  # rad: goals lie outside the success tolerance

    config.network = ConfigDict()
    widths = {"smoke": (64, 64), "laptop": (256, 128, 64), "gpu": (1024, 512, 512, 256, 256)}[size]
    config.network.actor = widths
    config.network.critic = widths
    config.network.carries = False  # the actor builds on the action that geometry suggests; needs env.sees_all
    config.network.history = 0  # control steps of joint readings and targets that the actor encodes besides; 0 is none
    config.ppo = ConfigDict()
    config.ppo.num_envs = {"smoke": 256, "laptop": 512, "gpu": 8192}[size]  # on all devices together
    config.ppo.horizon = 16  # control steps between updates
    config.ppo.epochs = 4
    config.ppo.minibatches = {"smoke": 2, "laptop": 4, "gpu": 16}[size]  # gpu: 8192 samples each, the paper's batch
    config.ppo.learning_rate = 5e-4  # of the actor at the start; the divergence moves it
    config.ppo.critic_learning_rate = 1e-3  # fixed
    config.ppo.critic_first = 0  # iterations in which only the critic learns: some tens with `start_from`
    config.ppo.target_kl = 0.02  # nat between the policy that acted and the one that learned
    config.ppo.entropy_cost = 0.0
    return config
