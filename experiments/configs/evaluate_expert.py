"""Settings of evaluate_expert.py: the expert, the sets of objects, and how long to look.

Reproduces: see the script.
Command: python experiments/evaluate_expert.py --config=experiments/configs/evaluate_expert.py:laptop

Measured on 2 cores:
    smoke   2 min
    laptop  2 min for each set of objects; the shipped expert's figures are in its card, on the sets train and held_out
    gpu     never run
"""

from ml_collections import ConfigDict

from dexgen_jax.defaults import fill
from dexgen_jax.evaluation import benchmark
from dexgen_jax.experts.lookahead import LookaheadConfig
from dexgen_jax.grasps.library import GraphConfig


def get_config(size: str = "laptop") -> ConfigDict:
    config = ConfigDict()
    config.run_dir = f"runs/{size}"  # folder of the run, the same in every stage
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.expert = "run"  # run, shipped, shipped:NAME or a folder: see dexgen_jax/pretrained
    config.grasps = "run"  # likewise
    config.seed = 0
    # Sets of the catalogue, or object names with commas; each is evaluated by itself and needs its grasps.
    config.sets = {"smoke": ("cube_55,sphere_64",), "laptop": ("starter",), "gpu": ("train", "held_out")}[size]
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.num_envs = {"smoke": 32, "laptop": 256, "gpu": 2048}[size]
    config.seconds = {"smoke": 6.0, "laptop": 60.0, "gpu": 300.0}[size]  # s each environment is simulated for

    config.lookahead = fill(LookaheadConfig())  # how widely and how far the expert looks ahead
    config.graph = fill(GraphConfig(), {"neighbours": 8} if size == "smoke" else None)

    config.film = ConfigDict()
    config.film.seconds = {"smoke": 2.0, "laptop": 10.0, "gpu": 20.0}[size]  # s; 0 makes no film
    config.film.traced = 16  # environments of which the most typical is shown
    config.film.width = 320  # pixels
    config.film.height = 240

    config.env = ConfigDict()  # changes to the task the expert was trained in (fields of AnygraspConfig)
    config.env.episode_steps = 100_000  # control steps: no time limit, an object is held until it drops
    config.goals = ConfigDict(benchmark.GOALS)  # of Anygrasp, besides: the same for every expert
    return config
