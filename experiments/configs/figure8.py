"""Settings of figure8.py: who is helped, by what, where, and how long it is watched.

Reproduces: arXiv:2502.04307, figure 8, and beyond it: more operators, helpers, objects and wrists.
Command: python experiments/figure8.py --config=experiments/configs/figure8.py

Measured on 2 cores, with one thread beside another run, a row of 128 environments x 60 s in a minute:
    smoke      7 minutes, nearly all of it compiling
    laptop     the paper's four operators and the clean expert, 256 environments x 300 s: 7 minutes a row; all but its
               ten rows of the turned down command were run
    own        our own operators on objects trained on and never seen, 128 environments x 60 s as all that follow:
               40 rows in 43 minutes
    worlds     two operators in the other splits: 32 rows in 38 minutes
    helpers    three operators with everything that stands beside the controller: 12 of its rows in 25 minutes
    strengths  three operators over a grid of strengths: 15 of its rows in 15 minutes
    wide       all operators, helpers and splits: not run as a whole, which would take hours
    gpu        never run
"""

from ml_collections import ConfigDict

from dexgen_jax.controller.controller import Settings
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.defaults import fill
from dexgen_jax.evaluation import benchmark, helping
from dexgen_jax.experts.lookahead import LookaheadConfig
from dexgen_jax.grasps.library import GraphConfig

PAPER = ("noisy 0.75", "noisy 1.5", "slow 0.5", "slow 1")
OWN = (
    "late 0.1",
    "late 0.3",
    "late 0.5",
    "frozen 0",
    "frozen 3",
    "jerky 0.6",
    "misled 0.5",
    "squeezing 0.5",
    "calm",
    "quick",
)
WIDE = dict(
    operators=(*PAPER, "clean"), own_operators=OWN, helpers=(*helping.PLAIN, *helping.LEARNED),
    splits=(
        "train", "held_out", "palm_up", "sideways", "palm_down", "wrist_still", "wrist_half", "wrist_one", "nominal",
        "slippery",
    ),
)  # fmt: skip
MINUTE = dict(num_envs=128, seconds=60.0)
BOTH = (helping.ALONE, helping.CONTROLLER)
SIZES = {
    "smoke": dict(
        num_envs=8, seconds=4.0, splits=("train", "held_out", "slippery"), operators=("noisy 1.5", "clean"),
        helpers=helping.SHORT, own_operators=("misled 0.5", "calm"), objects="cube_55,sphere_64",
        held_out="cylinder_56_60",
    ),
    "laptop": dict(
        num_envs=256, seconds=300.0, splits=("train", "held_out"), operators=(*PAPER, "clean"), helpers=helping.SHORT,
    ),
    "own": dict(
        **MINUTE, splits=("train", "held_out"), operators=(), own_operators=OWN, helpers=BOTH,
    ),
    "worlds": dict(
        **MINUTE, splits=WIDE["splits"][2:], operators=("noisy 1.5", "clean"), helpers=BOTH,
    ),
    "helpers": dict(
        **MINUTE, splits=("train",), operators=("noisy 1.5", "clean"), own_operators=("late 0.3",),
        helpers=(*helping.PLAIN, *helping.LEARNED),
    ),
    "strengths": dict(
        **MINUTE, splits=("train",), operators=("noisy 1.5", "slow 1", "clean"),
        helpers=BOTH, strengths=(1.0, 0.0, 0.1, 0.3, 3.0, 10.0),
    ),
    "wide": dict(**MINUTE, **WIDE),
    "gpu": dict(num_envs=4096, seconds=300.0, **WIDE),
}  # fmt: skip


def get_config(size: str = "laptop") -> ConfigDict:
    """The settings of one size."""
    scale = SIZES[size]
    config = ConfigDict()
    config.run_dir = f"runs/figure8/{size}"  # folder of the run
    config.hand = "allegro"  # or another of dexgen_jax/hand/registry.py, or a Python file that makes one
    config.seed = 0  # chosen before anything was run
    config.expert = "shipped"  # run, shipped, shipped:NAME or a folder: see dexgen_jax/pretrained
    config.controller = "shipped"  # likewise
    config.grasps = "shipped"  # likewise
    config.dataset = "none"  # recordings for those who imitate without diffusion: a folder; none leaves them out
    config.drop_seconds = 2.0  # s, rows of the dataset this close before a drop are not imitated
    config.cloning_steps = 20_000  # gradient steps of behaviour cloning
    config.engine = "auto"  # physics backend: auto, native, mjx or warp
    config.threads = 0  # of the native backend; 0 is all cores
    config.num_envs = scale["num_envs"]  # environments in every row
    config.seconds = scale["seconds"]  # simulated s of every environment
    config.objects = scale.get("objects", "train")  # of all splits but held_out
    config.held_out = scale.get("held_out", "held_out")  # objects of that split
    config.splits = scale["splits"]  # names of worlds.SPLITS
    config.operators = scale["operators"]  # in every split
    config.own_operators = scale.get("own_operators", ())  # on train and held-out objects only
    config.helpers = scale["helpers"]  # in train and held_out; elsewhere alone, turned down and the controller
    config.strengths = scale.get("strengths", (1.0,))  # of those that listen with one
    config.guided = False
    config.temperature = Settings.temperature
    config.listening = fill(ListeningConfig())
    config.candidates = 1
    config.mode = "default"
    config.film = ConfigDict()
    config.film.operators = ("noisy 1.5",)  # filmed on the train objects, alone and helped, where both rows are there
    config.film.seconds = 20.0  # s; what each row keeps to be shown again; 0 makes no film
    config.film.width, config.film.height = 288, 240  # pixels of each of the two pictures
    config.film.traced = 16  # environments to choose the filmed one from
    config.lookahead = fill(LookaheadConfig())  # how widely and how far the expert who operates looks ahead
    config.graph = fill(GraphConfig(), {"neighbours": 8} if size == "smoke" else None)
    config.env = ConfigDict()  # changes to the task the expert was trained in, in all splits
    config.env.episode_steps = 100_000  # control steps: no time limit, an object is held until it drops
    config.goals = ConfigDict(benchmark.GOALS)  # of Anygrasp, besides: the same for every expert
    return config
