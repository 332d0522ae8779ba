"""What evaluate_assist.py leaves in its folder, so that a killed run continues, and what the report takes from a run.

evaluation/rows.jsonl     one line per finished row
evaluation/traces/        the first seconds of a few environments of each row: what films are made of
evaluation/films/         mp4
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import launch
import numpy as np
from flax import serialization
from ml_collections import ConfigDict

from dexgen_jax.controller.controller import Controller, Settings
from dexgen_jax.controller.listening import ListeningConfig
from dexgen_jax.defaults import override
from dexgen_jax.envs.registry import Env
from dexgen_jax.evaluation import assist, helping, report
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.physics.scene import Scene
from dexgen_jax.run_log import METRICS_FILE, atomic_write, read_metrics, to_json
from dexgen_jax.viz import film, plots, video

Case = tuple[str, str, float | None]  # operator, helper, strength
Rows = dict[Case, dict[str, Any]]
CURVES = (  # stage, title, metrics, logarithmic
    ("expert", "Expert: goals per minute", ("goals_per_minute",), False),
    ("expert", "Expert: drops per minute", ("drops_per_minute",), False),
    ("controller", "Controller: loss", ("denoising", "inverse_dynamics"), True),
)


def settings(config: ConfigDict, **changes: Any) -> Settings:
    """How the controller is used, but for `changes`; raises ValueError for what cannot be."""
    listening = override(ListeningConfig(), config.listening.to_dict())
    own = {"candidates": config.candidates, "temperature": config.temperature, "guided": config.guided}
    return Settings(**{**own, "listening": listening, **changes})


def read_rows(folder: Path) -> Rows:
    """The rows done so far, in their order."""
    path = folder / "rows.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    try:
        return {(row["operator"], row["helper"], row["strength"]): row for row in map(json.loads, lines)}
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and the rows are simulated again") from error


def write_rows(folder: Path, rows: Rows) -> None:
    """Replaces the file by one that holds `rows`."""
    atomic_write(folder / "rows.jsonl", "".join(to_json(row) + "\n" for row in rows.values()))


def save_trace(folder: Path, case: Case, trace: assist.Trace, steps: int) -> None:
    """Keeps the first `steps` of a row's trace."""
    path = _trace_path(folder, case)
    path.parent.mkdir(parents=True, exist_ok=True)
    start = jax.tree.map(lambda x: np.asarray(x[:steps]), trace)
    atomic_write(path, serialization.to_bytes(start))


def load_trace(folder: Path, case: Case) -> assist.Trace:
    """Reads what `save_trace` wrote."""
    path = _trace_path(folder, case)
    try:
        fields = serialization.msgpack_restore(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path} ({error}): delete {folder} and evaluate again") from error
    return assist.Trace(**fields | {"object": ObjectParams(**fields["object"])})


def _trace_path(folder: Path, case: Case) -> Path:
    operator, helper, strength = case
    help_given = helper if strength is None else f"{helper}-{strength:g}"
    return folder / "traces" / f"{operator}-{help_given}.msgpack".replace(" ", "_")


def film_of(folder: Path, scene: Scene, operator: str, strength: float, look: ConfigDict) -> report.Film:
    """Films one environment with the operator alone and with help: the one with about the mean number of drops."""
    path = folder / "films" / f"{operator.replace(' ', '_')}.mp4"
    alone = load_trace(folder, (operator, helping.ALONE, None))
    helped = load_trace(folder, (operator, helping.CONTROLLER, strength))
    environment = film.typical(alone)
    shown = film.FilmConfig(look.width, look.height, seconds=look.seconds)
    both = {f"{operator}, alone": alone, f"helped, strength {strength:g}": helped}
    frames = film.compare(scene, both, environment, shown)
    path.parent.mkdir(parents=True, exist_ok=True)
    video.write_mp4(path, frames, shown.fps)
    return report.Film(
        path,
        f"The {operator} operator alone and helped, from the same start under the same gravity. Green: the goal. "
        f"A red frame: dropped, and a fresh grasp. Environment {environment} of {alone.q.shape[1]}, chosen because its "
        "number of drops without help is nearest to the mean.",
    )


def learning_curves(run_dir: Path, expert: Path | None = None) -> list[plots.Curve]:
    """The curves that this run's metrics hold; an `expert` from elsewhere brings its own beside its weights."""
    curves = []
    for stage, title, names, log in CURVES:
        folder = expert if expert and stage == "expert" else run_dir
        lines = read_metrics(folder, stage) if (folder / METRICS_FILE).exists() else []
        found = {
            name: tuple(np.array([[line["step"], line[name]] for line in lines if line.get(name) is not None]).T)
            for name in names
            if any(line.get(name) is not None for line in lines)
        }
        if found:
            curves.append(plots.Curve(title, "control steps" if stage == "expert" else "gradient steps", found, log))
    return curves


def listings(run_dir: Path, stages: Iterable[str] = tuple(launch.STAGES.values())) -> dict[str, str]:
    """Settings of the stages and the versions and commands that made them, as text."""
    texts = {}
    for stage in stages:
        for file, title in ((launch.CONFIG_FILE, "settings"), (launch.VERSIONS_FILE, "versions and command")):
            path = run_dir / stage / file
            if path.exists():
                texts[f"{stage}: {title}"] = path.read_text()
    return texts


def facts(config: ConfigDict, env: Env, controller: Controller) -> dict[str, str]:
    """How the rows were measured, for the report."""
    task, model = env.config, controller.model
    return {
        "Goal": f"object within {100 * task.position_tolerance:g} cm and {task.angle_tolerance:g} rad, joints within "
        f"{task.joint_tolerance:g} rad rms, held for {task.hold_steps / CONTROL_HZ:g} s",
        "Drop": f"object more than {100 * task.drop_distance:g} cm from where grasps hold it",
        "Row": f"{config.num_envs} environments x {config.seconds:g} s at {CONTROL_HZ:g} Hz, seed {config.seed}",
        "Hand sees": "its own joint readings, with the task's sensor noise; no object, no gravity",
        "Objects": config.objects,
        "Physics": f"{env.engine.name}, gravity up to {task.randomization.gravity_angle:.2f} rad from palm-up",
        "Controller": f"{model.hand_name}, mode {config.mode}, {model.sampling_steps} DDIM steps, the nearest of "
        f"{controller.settings.candidates} motions; its action errs by {float(controller.weights.action_std):.3f} rad",
        "Listening": str(controller.settings.listening),
    }
