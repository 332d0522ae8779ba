"""Processes that tests start. Each has a time limit, far above what it needs on a slow machine that others use too."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator

LIMIT = 1200.0  # s
PIPE = subprocess.PIPE
Done, Process = subprocess.CompletedProcess, subprocess.Popen


@contextlib.contextmanager
def started(command: list, **how) -> Iterator[Process]:
    """A process that is killed when the limit is over, and at the end of the block."""
    with subprocess.Popen(command, text=True, **how) as process:
        watch = threading.Timer(LIMIT, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()


def run(command: list, **how) -> Done:
    """Runs a command to its end and returns its code and what it said."""
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, **how)
