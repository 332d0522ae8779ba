"""Settings of evaluate_assist.py: which operators are helped, how strongly, and how long they are watched.

Reproduces: arXiv:2502.04307, figure 8: its four operators (`:gpu`), over strengths of guidance.
Command: python experiments/evaluate_assist.py --config=experiments/configs/evaluate_assist.py:laptop

Measured on 2 cores:
    smoke   40 s
    laptop  10 minutes with 17 rows, on a shared machine, compiling and filming included; now 14 rows
    gpu     never run
"""

from ml_collections import ConfigDict

from dexgen_jax.controller.controller import Settings
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.defaults import fill
from dexgen_jax.evaluation import benchmark
from dexgen_jax.experts.lookahead import LookaheadConfig
from dexgen_jax.grasps.library import GraphConfig

SIZES = {
    "smoke": dict(
        objects="cube_55,sphere_64,cylinder_56_60", num_envs=32, seconds=10.0, operators=("noisy 1.5",),
        strengths=(0.0, 1.0), film_seconds=2.0,
    ),
    "laptop": dict(
        objects="starter", num_envs=128, seconds=30.0, operators=("noisy 1.5", "slow 0.5", "clean"),
        strengths=(1.0,), film_seconds=10.0,
    ),
    "gpu": dict(
        objects="train", num_envs=4096, seconds=60.0,
        operators=("noisy 1.5", "noisy 0.75", "slow 0.5", "slow 1", "clean"), strengths=(0.0, 0.3, 1.0, 3.0, 10.0),
        film_seconds=15.0,
    ),
}  # fmt: skip


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size: smoke, laptop or gpu."""
    scale = SIZES[size]
    config = ConfigDict()
    config.run_dir = f"runs/{size}"  # folder of the run; rows go to its evaluation/, the page to report.html
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0
    config.expert = "run"  # run, shipped, shipped:NAME or a folder: see dexgen_jax/pretrained
    config.controller = "run"  # likewise
    config.grasps = "run"  # likewise
    config.objects = scale["objects"]  # a set of the catalogue or object names with commas
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.num_envs = scale["num_envs"]  # environments in every row
    config.seconds = scale["seconds"]  # simulated s of every environment
    config.operators = scale["operators"]  # to be helped: kind and amplitude, see dexgen_jax/evaluation/operators.py
    config.references = ("clean", "still", "random")  # operators that are only watched
    # How much the operator is listened to: 1 is as much as it deserves, 0 not at all, see controller/listening.py. With
    # `guided` it is the paper's lambda = 2 alpha s^2, whose alphas 150, 750 and 3000 are 0.03, 0.15 and 0.6 if its s is
    # 1 cm; there `temperature` is 1.
    config.strengths = scale["strengths"]
    config.guided = False  # whether the motion is bent toward the command, as in the paper
    config.temperature = Settings.temperature  # standard deviation of the noise that sampling starts from
    config.listening = fill(ListeningConfig())
    config.candidates = 1  # motions drawn in a tick, of which the nearest to the command is taken; the paper draws 1
    config.mode = "default"  # task label given to the controller

    config.film = ConfigDict()
    config.film.operators = scale["operators"][:2]  # operators to film
    config.film.seconds = scale["film_seconds"]  # s
    config.film.width, config.film.height = 288, 240  # pixels of each of the two pictures
    config.film.traced = 16  # environments to choose the filmed one from

    few = {"smoke": {"neighbours": 8}, "laptop": {"neighbours": 6}}  # goals to draw from, in a sparse library
    config.lookahead = fill(LookaheadConfig())  # how widely and how far the expert who operates looks ahead
    config.graph = fill(GraphConfig(), few.get(size))
    config.env = ConfigDict()  # changes to the task the expert was trained in (fields of AnygraspConfig)
    config.env.episode_steps = 100_000  # control steps: no time limit, an object is held until it drops
    config.goals = ConfigDict(benchmark.GOALS)  # of Anygrasp, besides: the same for every expert
    return config
