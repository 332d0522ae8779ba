"""A hand without physics for the viewer's tests: joints are where they are told to be, and straying too far drops."""

import types

import numpy as np

from dexgen_jax.hand import allegro
from dexgen_jax.viz.moment import Moment

START = 0.5  # share of the joints' range at which a grasp begins


class FakeWorld:
    """The object falls when the root mean square way of the targets from the grasp exceeds `reach` [rad]."""

    objects = ("cube_55", "sphere_64")
    max_step = 0.15

    def __init__(self, reach: float = 0.3, goal_every: int = 7):
        self.hand, self.reach, self.goal_every = allegro.load(), reach, goal_every
        self.seeds: list[int] = []
        self.gravities: list[np.ndarray] = []

    @property
    def grasp(self) -> np.ndarray:
        """The joint targets (n,) [rad] of every grasp."""
        return (self.hand.lower + START * (self.hand.upper - self.hand.lower)).astype(np.float32)

    def begin(self, thing, gravity, seed):
        """Puts the object into the hand."""
        self.seeds.append(seed)
        self.thing, self.target, self.age = thing, self.grasp, 0
        return self._moment(gravity, False, False)

    def step(self, target, gravity):
        """The targets go to `target` as far as a step goes."""
        self.age += 1
        self.target = self.target + np.clip(target - self.target, -self.max_step, self.max_step).astype(np.float32)
        self.gravities.append(np.asarray(gravity))
        strayed = np.sqrt(np.mean((self.target - self.grasp) ** 2)) > self.reach
        return self._moment(gravity, strayed, self.age % self.goal_every == 0)

    def shape(self, thing):
        """As the catalogue has it."""
        from dexgen_jax.objects import catalog

        return catalog.load(thing)

    def _moment(self, gravity, dropped, reached):
        pose = np.array([0.06, 0.0, 0.05, 1.0, 0, 0, 0], np.float32)
        touch = np.zeros(len(self.hand.touch_names), np.float32)
        wanted = np.full(len(self.target), 0.1, np.float32)
        return Moment(
            self.thing, 1.0, self.target, self.target, self.target, pose, pose, np.asarray(gravity, np.float32), touch,
            wanted, bool(dropped), bool(reached),
        )  # fmt: skip


class Patient:
    """A helper that makes a third of each wish, and remembers what it was asked."""

    def __init__(self):
        self.resets, self.asked = 0, []

    def reset(self, q, target):
        """Counts."""
        self.resets += 1

    def act(self, q, target, command, strength, released):
        """A third of the way, all of it when released."""
        self.asked.append(types.SimpleNamespace(command=command, strength=strength, released=released))
        share = 1.0 if released else 1 / 3
        return target + share * np.clip(command - target, -0.15, 0.15), None
