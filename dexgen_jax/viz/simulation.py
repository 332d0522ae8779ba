"""The simulated hand behind the viewer: one environment whose object, grasp and gravity are chosen from outside.

All objects of the catalogue share one engine and one compiled program: an object's grasps are a library of the same
size for each, which the program takes as an argument. So another object is there within a second.
"""

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from brax.envs.base import State

from dexgen_jax.defaults import nearest
from dexgen_jax.envs import registry
from dexgen_jax.envs.registry import Env
from dexgen_jax.experts.networks import Expert
from dexgen_jax.grasps import library as libraries
from dexgen_jax.grasps.library import GraphConfig, GraspLibrary
from dexgen_jax.hand import registry as hands
from dexgen_jax.objects import catalog
from dexgen_jax.objects.shapes import ObjectParams
from dexgen_jax.physics import engine as engines
from dexgen_jax.physics.scene import Scene
from dexgen_jax.viz.moment import Moment

ROWS = 512  # grasps of an object: its library is thinned, or repeated, to this many
NEIGHBOURS = 6  # goals of each


class Simulation:
    """A hand with an object; `begin` puts the object into it, `step` lives one control step (0.1 s)."""

    def __init__(
        self, expert: Expert, grasps: str | Path = "shipped", objects: str | Sequence[str] = "starter",
        overrides: Mapping[str, Any] | None = None, backend: str = "auto", threads: int = 1,
    ):  # fmt: skip
        """`objects` may be put into the expert's hand; `overrides` change settings of the task it was trained in."""
        if expert.task != "anygrasp" or expert.history:
            raise ValueError(f"the viewer needs an anygrasp expert that does not look back, got one of {expert.task}")
        self.hand, self.expert, self.grasps = hands.load(expert.hand_name), expert, grasps
        self.objects = catalog.names(objects)
        engine = engines.make(self.hand, [catalog.load(name) for name in self.objects], backend, threads)
        self._library = functools.cache(self._load)
        # The session turns the wrist, and nothing is ever late.
        own = {"episode_steps": 10**8, "randomization.gravity_walk": 0.0, "randomization.gravity_angle": np.pi}
        settings = {**expert.config["env"], **(overrides or {}), **own}
        self.env = registry.make("anygrasp", settings, engine=engine, library=self._library(self.objects[0]))
        program = functools.partial(jax.jit, compiler_options=engine.compiler_options)
        self._begin, self._step = program(self._begin_one), program(self._step_one)
        self._state: State | None = None
        self.thing = self.objects[0]

    @property
    def max_step(self) -> float:
        """The largest change of a joint target in one control step [rad]."""
        return self.env.config.action_scale

    @property
    def scene(self) -> Scene:
        """The model that is simulated, for films."""
        return self.env.engine.scene

    def begin(self, thing: str, gravity: np.ndarray, seed: int) -> Moment:
        """Puts `thing` into the hand at a grasp that `seed` draws, under `gravity` (3,) [m/s2, palm frame]."""
        if thing not in self.objects:
            raise ValueError(f"no object {thing!r} here; {nearest(thing, self.objects)}")
        self.thing, key = thing, jax.random.PRNGKey(seed)
        row = np.random.default_rng(seed).integers(ROWS)
        self._state, seen = self._begin(self._library(thing), key, np.int32(row), np.asarray(gravity, np.float32))
        return self._moment(seen)

    def step(self, target: np.ndarray, gravity: np.ndarray) -> Moment:
        """Moves the joint targets to `target` (n,) [rad], as far as one step goes, and simulates 0.1 s."""
        library = self._library(self.thing)
        target, gravity = np.asarray(target, np.float32), np.asarray(gravity, np.float32)
        self._state, seen = self._step(library, self._state, target, gravity)
        return self._moment(seen)

    def shape(self, thing: str) -> ObjectParams:
        """The parts of an object, as the catalogue has them."""
        return catalog.load(thing)

    def packed(self, thing: str) -> ObjectParams:
        """The parts of an object in the slots of the scene, for films."""
        return jax.tree.map(lambda x: x[self.objects.index(thing)], self.env.engine.objects)

    def gallery(self, thing: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Some grasps of an object: joints (count, n) [rad] and object poses (count, 7)."""
        library = self._library(thing)
        rows = np.linspace(0, ROWS - 1, count).astype(int)
        return np.asarray(library.q)[rows], np.asarray(library.object_pose)[rows]

    def _load(self, thing: str) -> GraspLibrary:
        """The object's library of `ROWS` grasps; its number is its place in `objects`."""
        grasps = libraries.load(self.grasps, thing, self.hand.name)
        chosen = np.random.default_rng(0).permutation(len(grasps))[:ROWS]
        library = libraries.assemble([grasps.take(chosen)], GraphConfig(neighbours=NEIGHBOURS))
        number = jnp.full(len(library), self.objects.index(thing), jnp.int32)
        return _repeated(library.replace(object_index=number))

    def _begin_one(self, library: GraspLibrary, key: jax.Array, row: jax.Array, gravity: jax.Array) -> tuple:
        env = _around(self.env, library)
        state = _under(env.reset(key, start=row), gravity)
        return state, self._see(library, state)

    def _step_one(self, library: GraspLibrary, state: State, target: jax.Array, gravity: jax.Array) -> tuple:
        env = _around(self.env, library)
        move = (target - state.info["target"]) / env.config.action_scale
        state = env.step(_under(state, gravity), jnp.clip(move, -1, 1))
        return state, self._see(library, state)

    def _see(self, library: GraspLibrary, state: State) -> dict[str, jax.Array]:
        info = state.info
        names = ("q", "reading", "target", "object_pose", "gravity", "touch")
        original = self.env.engine.object(library.object_index[info["goal"]])
        return {name: info[name] for name in names} | {
            "goal_pose": library.object_pose[info["goal"]],
            "wanted": self.expert.act(state.obs),
            "dropped": state.done > 0,
            "reached": state.metrics["success"] > 0,
            "scale": info["world"].object.size[0, 0] / original.size[0, 0],
        }

    def _moment(self, seen: dict[str, jax.Array]) -> Moment:
        seen = jax.device_get(seen)
        flags = {name: bool(seen[name]) for name in ("dropped", "reached")}
        return Moment(**seen | flags | {"thing": self.thing, "scale": float(seen["scale"])})


def _repeated(library: GraspLibrary) -> GraspLibrary:
    """A library of `ROWS` rows, the last ones repeating the first: the program is compiled for one size."""
    rows = jnp.arange(ROWS) % len(library)
    names = ("q", "target", "object_pose", "object_index", "neighbours", "distance")
    return library.replace(**{name: getattr(library, name)[rows] for name in names})


def _around(env: Env, library: GraspLibrary) -> Env:
    """The same environment with other grasps: what is traced takes them as an argument."""
    env = copy.copy(env)
    env.library = library
    return env


def _under(state: State, gravity: jax.Array) -> State:
    """The state with gravity (3,) [m/s2, palm frame] from now on; what was observed before stays."""
    return state.replace(info=state.info | {"world": state.info["world"].replace(gravity=gravity)})
