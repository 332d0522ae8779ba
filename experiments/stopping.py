"""How a script is told to stop: one that serves, and a stage that a cluster wants to preempt.

SIGTERM ends a stage with exit code `REQUEUE`, by which a cluster starts it again, and it goes on. One that keeps its
state in memory hears it `between_checkpoints`, at the end of a step, on all of its processes in the same step; any
other is stopped where it is, for all that it has finished is on disk.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
import numpy as np
from jax.experimental import multihost_utils

REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, start it again


class Terminated(BaseException):
    """A stage was told to stop, and has."""


@contextmanager
def terminated() -> Iterator[None]:
    """Within it SIGTERM raises `Terminated`; nothing changes outside the main thread, which alone hears signals."""

    def stop(*_: object) -> None:
        raise Terminated

    with _handling(stop, signal.SIGTERM):
        yield


@contextmanager
def between_checkpoints() -> Iterator[Callable[[], bool]]:
    """A function to be called after each step by all processes alike: whether one of them has heard SIGTERM."""
    heard = threading.Event()

    def told() -> bool:
        if jax.process_count() == 1:
            return heard.is_set()
        return bool(np.any(multihost_utils.process_allgather(np.array(heard.is_set()))))

    with _handling(lambda *_: heard.set(), signal.SIGTERM):
        yield told


@contextmanager
def asked(seconds: float) -> Iterator[Callable[[], bool]]:
    """A function that tells whether to stop: after Ctrl-C or SIGTERM, or after `seconds` unless they are 0."""
    stopped = threading.Event()
    end = time.monotonic() + (seconds or float("inf"))
    with _handling(lambda *_: stopped.set(), signal.SIGINT, signal.SIGTERM):
        yield lambda: stopped.is_set() or time.monotonic() > end


@contextmanager
def _handling(handler: Callable, *signals: int) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
