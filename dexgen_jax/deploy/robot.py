"""A robot is two calls: read the joints, set their targets. A lab plugs in its driver; here is a simulated hand.

Joint order, units and limits are those of the controller's contract (see `contract.py`): the driver translates.
"""

import jax
import numpy as np
from brax.envs.base import Env


class SimulatedHand:
    """A hand with an object in a simulated environment; it lives one control step (0.1 s) at every `set_targets`.

    It shows what a real hand would: joint readings with the task's sensor noise. Targets further away than one action
    reaches are approached. A dropped object comes back in a fresh grasp: `drops` counts it, `target` has jumped.
    """

    def __init__(self, env: Env, seed: int = 0):
        """`env` has the Brax API and this project's `info` ('reading', 'target'); one hand, not a batch."""
        self.env, self.hand, self.steps, self.drops = env, env.hand, 0, 0
        key = jax.random.PRNGKey(seed)
        # Compiled now: the first tick of a loop, or the first drop, must not wait for it.
        self._reset = jax.jit(env.reset).lower(key).compile()
        self._state = self._reset(key)
        self._step = jax.jit(env.step).lower(self._state, np.zeros(env.action_size, np.float32)).compile()

    @property
    def target(self) -> np.ndarray:
        """The joint targets in force (n,) [rad]."""
        return np.asarray(self._state.info["target"])

    def read_joints(self) -> np.ndarray:
        """Returns the noisy reading of the joints (n,) [rad]."""
        return np.asarray(self._state.info["reading"])

    def set_targets(self, target: np.ndarray) -> None:
        """Simulates one control step towards `target` (n,) [rad]."""
        move = (np.asarray(target, np.float32) - self.target) / self.env.config.action_scale
        self._state = self._step(self._state, np.clip(move, -1, 1))
        self.steps += 1
        dropped = bool(self._state.done)
        self.drops += dropped
        if dropped or bool(self._state.info["truncation"]):
            self._state = self._reset(self._state.info["rng"])
