"""The robot's side of the policy server: asks for joint targets and gives up in time. Needs numpy, pyzmq and msgpack.

A server that was restarted, or has forgotten the hand, is told anew where it is; the rest is in `connection.py`.
"""

import time
from typing import Any

import numpy as np

from dexgen_jax.controller import tick_input
from dexgen_jax.controller.numbers import floats
from dexgen_jax.deploy import messages
from dexgen_jax.deploy.connection import Connection


class Client(Connection):
    """One robot's connection; the server keeps a controller's memory for each."""

    _terms: str | None = None  # of the controller that it was reset with

    def reset(self, q: np.ndarray, target: np.ndarray | None = None) -> None:
        """Begins anew: joint positions `q` (n,) [rad] and their targets (default: where they are)."""
        self._terms = self._ask("reset", q=q, target=q if target is None else target)["terms"]

    @tick_input.documented
    def act(
        self, q: np.ndarray, target: np.ndarray, command: np.ndarray | None = None, kind: str = "joints", **options: Any
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """One control tick: returns joint targets (n,) [rad] and diagnostics, the single numbers and `events` by name.

        Arguments are those of `Controller.act` without `alpha`: over the wire `strength` says how much is heard.
        Raises TimeoutError if the answer does not come in time or the server failed over it, ConnectionResetError if
        the server had forgotten the hand (it was restarted): then it has been reset with this reading, and the next
        tick goes on. `loop.run` holds the last target in both. ValueError if the server refuses what is asked,
        RuntimeError before the first reset.
        """
        if self._terms is None:
            raise RuntimeError("the server does not know the hand yet: call reset(q) before the first act")
        latest = time.monotonic() + self.timeout_s
        said = {"q": q, "target": target, **options, **({} if command is None else {"command": command})}
        # Names, flags and what is unknown here go as they are: the server knows what there is.
        of_numbers = {name for name, field in tick_input.options().items() if field.dtype == "float32"}
        of_numbers |= {"q", "target", "command"}
        numbers = {name: floats(value, np.shape(value), name) for name, value in said.items() if name in of_numbers}
        try:
            reply = self._ask("act", latest, kind=kind, **said | numbers)
        except messages.Refused as refused:
            if refused.reason != messages.FORGOTTEN:
                raise
            self._begin_anew(q, target, latest)
            raise ConnectionResetError(f"the server at {self.address} had forgotten the hand, and was told") from None
        return messages.array(reply, "target", np.shape(target)), reply["diagnostics"]

    def _begin_anew(self, q: np.ndarray, target: np.ndarray, latest: float) -> None:
        """Resets with the reading of this tick; if the server does not take that one, the next tick tries again."""
        try:
            terms = self._ask("reset", latest, q=q, target=target)["terms"]
        except messages.Refused as refused:
            raise ConnectionResetError(f"the hand is forgotten, and not taken again yet: {refused}") from refused
        if terms != self._terms:
            self._terms = None  # nothing more until somebody has looked
            raise ValueError(
                f"the server at {self.address} came back with a controller for other joints, commands or modes than "
                "this client was reset with: look at describe(), then call reset(q)"
            )
