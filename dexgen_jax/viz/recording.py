"""What was lived in the viewer, kept: as a dataset that the trainer's reader opens, and as a film.

A recording is one stream of a dataset. Rows with noise on the command are marked as disturbed, and rows in which a
lost object falls as invalid, so the reader learns from neither.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from flax import struct

import dexgen_jax
from dexgen_jax.dataset import store
from dexgen_jax.dataset.store import DROP, FIRST, INVALID, PERTURBED, SUCCESS
from dexgen_jax.hand.description import Hand
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics import world as worlds
from dexgen_jax.physics.engine import CONTROL_HZ
from dexgen_jax.physics.scene import Scene
from dexgen_jax.viz import film, video
from dexgen_jax.viz.session import Step

MOST_STEPS = round(600 * CONTROL_HZ)  # control steps: ten minutes, and what comes after them is not kept
LEAST_STEPS = 2


@struct.dataclass
class Trace:
    """What a film shows, see `film.Trace`; fields (steps, 1, ...)."""

    q: np.ndarray
    object_pose: np.ndarray
    goal_pose: np.ndarray
    gravity: np.ndarray
    object: ObjectParams
    drops: np.ndarray
    goals: np.ndarray


class Recorder:
    """A listener of a session; records between `start` and `stop`, which may come from any thread."""

    def __init__(self, hand: Hand, objects: Sequence[str]):
        """`objects` are those that the session may hold: a row keeps the number of its object."""
        self.hand, self.objects = hand, tuple(objects)
        self._steps: list[Step] | None = None
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float | None:
        """How long it has recorded [s]; None if it does not."""
        steps = self._steps
        return None if steps is None else len(steps) / CONTROL_HZ

    @property
    def full(self) -> bool:
        """Whether it records, and has all that it keeps."""
        return len(self._steps or ()) >= MOST_STEPS

    def __call__(self, step: Step) -> None:
        """One control step was lived."""
        with self._lock:
            if self._steps is not None and len(self._steps) < MOST_STEPS:
                self._steps.append(step)

    def start(self) -> None:
        """Records from the next step on."""
        with self._lock:
            self._steps = []

    def stop(self) -> list[Step]:
        """Ends the recording and returns it. Raises ValueError if there is nothing to keep."""
        with self._lock:
            steps, self._steps = self._steps or [], None
        if len(steps) < LEAST_STEPS:
            raise ValueError(f"a recording needs at least {LEAST_STEPS} control steps, this one has {len(steps)}")
        return steps


def save(folder: str | Path, hand: Hand, objects: Sequence[str], steps: Sequence[Step]) -> Path:
    """Writes a dataset of one stream; the recording may begin in the middle of a grasp, and its first row is a first.

    See docs/viewer.md for what the reader makes of it.
    """
    layout = store.Layout(blocks=1, streams=1, rows=len(steps))
    attributes = {
        "control_hz": CONTROL_HZ,
        "objects": list(objects),
        "dexgen_jax": dexgen_jax.__version__,
        "provenance": "by hand",
    }
    writer = store.create(folder, hand, layout, attributes)
    before = [step.before for step in steps]
    rows = {
        "q": store.quantise(np.stack([moment.q for moment in before])),
        "target": store.quantise(np.stack([moment.target for moment in before])),
        "mode": np.zeros(len(steps), np.uint8),
        "flags": np.array([_flags(step, i == 0) for i, step in enumerate(steps)], np.uint8),
        "privileged/object_pose": np.stack([moment.object_pose for moment in before]).astype(np.float32),
        "privileged/gravity": np.stack([moment.gravity for moment in before]).astype(np.float32),
        "privileged/touch": np.stack([moment.touch for moment in before]).astype(np.float32),
        "privileged/object_index": np.array([objects.index(moment.thing) for moment in before], np.int32),
    }
    writer.write(0, {name: values[None] for name, values in rows.items()})
    return Path(folder)


def write_film(
    path: str | Path,
    scene: Scene,
    packed: Callable[[str], ObjectParams],
    takes: dict[str, Sequence[Step]],
    look: film.FilmConfig,
) -> None:
    """Writes an mp4 of one recording, or of several beside each other; `takes` by the caption of each.

    `packed(name)` gives an object in the slots of `scene`.
    """
    traces = {caption: trace(steps, packed) for caption, steps in takes.items()}
    video.write_mp4(path, film.compare(scene, traces, 0, look), look.fps)


def trace(steps: Sequence[Step], packed: Callable[[str], ObjectParams]) -> Trace:
    """A recording as the film takes it."""
    before = [step.before for step in steps]
    objects = [jax.device_get(worlds.resize(packed(moment.thing), np.float32(moment.scale))) for moment in before]
    fields = {name: [getattr(moment, name) for moment in before] for name in ("q", "object_pose", "gravity")}
    fields |= {"goal_pose": [m.object_pose if m.goal_pose is None else m.goal_pose for m in before]}
    fields |= {"drops": [step.dropped for step in steps], "goals": [step.reached for step in steps]}
    stacked = {name: np.stack(values)[:, None] for name, values in fields.items()}
    return Trace(object=jax.tree.map(lambda *x: np.stack(x)[:, None], *objects), **stacked)


def _flags(step: Step, first: bool) -> int:
    marks = {FIRST: step.first or first, DROP: step.dropped, SUCCESS: step.reached, PERTURBED: step.shaken}
    return sum(bit for bit, mark in (marks | {INVALID: step.falling}).items() if mark)
