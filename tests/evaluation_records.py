"""Records of an evaluation, made from counts."""

import numpy as np

from dexgen_jax.evaluation import assist


def record(drops, goals=None, steps=1000, blown_up=0):
    """What happened in `steps` control steps in which each environment had so many `drops` and `goals`."""
    drops = np.asarray(drops)
    shape = (steps, len(drops))
    counts = (drops, np.zeros_like(drops) if goals is None else np.asarray(goals), np.zeros_like(drops))
    happened = [np.arange(steps)[:, None] < count[None] for count in counts]
    happened[2][:blown_up, -1] = True
    number, zero = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    return assist.Record(*happened, object=number, goal_age=number + 50, kept=zero, intervention=zero, jerk=zero)
