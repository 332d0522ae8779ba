"""The same environment several times, side by side: an operator alone, and with help."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import jax
import mujoco
import numpy as np

from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics import scene as scenes
from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.scene import Scene
from dexgen_jax.viz import video

_ALARM_SECONDS = 0.6  # a drop is shown this long


class Trace(Protocol):
    """What a film shows, fields (steps, environments, ...); for instance `evaluation.assist.Trace`."""

    q: np.ndarray  # (..., n) rad
    object_pose: np.ndarray  # (..., 7) m and w x y z, palm frame
    goal_pose: np.ndarray  # (..., 7)
    gravity: np.ndarray  # (..., 3), palm frame
    object: ObjectParams
    drops: np.ndarray  # (...) bool: this step's action lost the object
    goals: np.ndarray  # (...) bool


@dataclasses.dataclass(frozen=True)
class FilmConfig:
    """Size and pace of a film."""

    width: int = 288  # pixels of each of the two pictures
    height: int = 240
    fps: float = 10.0  # frames a second: the control rate plays in real time
    seconds: float = 10.0


def typical(trace: Trace) -> int:
    """The environment whose number of drops is nearest to the mean of all that were traced; the first of several."""
    drops = np.asarray(trace.drops).sum(0)
    return int(np.argmin(np.abs(drops - drops.mean())))


def compare(scene: Scene, traces: Mapping[str, Trace], environment: int, look: FilmConfig) -> np.ndarray:
    """Films one environment of several traces beside each other; returns uint8 (frames, height, width, 3).

    Each trace's name becomes the caption of its picture.
    """
    return video.beside(*(_shoot(scene, name, trace, environment, look) for name, trace in traces.items()))


def _shoot(scene: Scene, title: str, trace: Trace, environment: int, look: FilmConfig) -> np.ndarray:
    count = min(round(look.seconds * look.fps), len(trace.q))
    one = jax.tree.map(lambda x: np.asarray(x)[:count, environment], trace)
    qpos = np.concatenate([one.q, one.object_pose], axis=-1)
    frames = video.render(_models(scene, one.object, count), qpos, look.width, look.height, goal=one.goal_pose)
    frames = video.add_gravity(frames, one.gravity)
    # An event is seen in the picture after the step that caused it.
    drops, goals = (np.concatenate([[0], np.cumsum(events)[:-1]]) for events in (one.drops, one.goals))
    now = np.arange(count)
    since = now - np.maximum.accumulate(np.where(np.diff(drops, prepend=0) > 0, now, -np.inf))
    notes = [
        f"{i / look.fps:4.1f} s   {_count(d, 'drop')}   {_count(g, 'goal')}"
        for i, (d, g) in enumerate(zip(drops, goals, strict=True))
    ]
    return video.add_caption(frames, title, notes, since < _ALARM_SECONDS * look.fps)


def _models(scene: Scene, objects: ObjectParams, count: int) -> list[mujoco.MjModel]:
    """The model of each frame; frames with the same object share one."""
    models: list[mujoco.MjModel] = []
    for i in range(count):
        same = i > 0 and all(np.array_equal(x[i], x[i - 1]) for x in jax.tree.leaves(objects))
        world = worlds.nominal(jax.tree.map(lambda x, i=i: x[i], objects))
        models.append(models[-1] if same else scenes.model_of(scene, worlds.model_fields(world, scene.hand)))
    return models


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
