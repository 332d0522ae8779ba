"""How a script that serves until it is told to stop is told."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def asked(seconds: float) -> Iterator[Callable[[], bool]]:
    """A function that tells whether to stop: after Ctrl-C or SIGTERM, or after `seconds` unless they are 0."""
    stopped = threading.Event()
    end = time.monotonic() + (seconds or float("inf"))
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: stopped.is_set() or time.monotonic() > end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
