"""A session without a controller, for what is about messages only."""

import numpy as np

from dexgen_jax.controller.controller import Diagnostics
from dexgen_jax.controller.model import Model
from dexgen_jax.deploy import contract
from dexgen_jax.hand import allegro

HAND = allegro.load()
MIDDLE = ((HAND.lower + HAND.upper) / 2).astype(np.float32)
CONTRACT = contract.describe_tick(Model(modes=("default", "free_motion")))
TOKEN = "open sesame, open sesame"
DIAGNOSTICS = Diagnostics(
    motion=np.zeros((2, 8, 3)),
    distance=0.25,
    overruled=0.5,
    spread=0.0,
    alpha=1.0,
    strength=0.1,
    doubt=0.001,
    events=33,
)


class CountingSession:
    """Adds its number of calls to the target it gets, and remembers all that reached it."""

    def __init__(self):
        self.resets, self.acts = [], []

    def reset(self, q, target):
        self.resets.append((q, target))

    def act(self, q, target, command, **how):
        self.acts.append((q, target, command, how))
        return target + np.float32(0.001) * len(self.acts), DIAGNOSTICS
