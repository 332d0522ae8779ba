"""One process at a time in the folder of a stage: two would write into each other's half-written files.

The lock is the kernel's (`flock`), so it is gone when its process is, however that ended. The file `.lock` stays behind
and says only who had it last. On Linux `flock` holds on NFS too, between hosts; where a file system has no locks, that
is said.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dexgen_jax import run_log

LOCK_FILE = ".lock"
_SECONDS_BETWEEN_LOOKS = 2.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def hold(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keeps other processes out of `folder`, which exists.

    Raises BlockingIOError, an OSError, naming host and process if one is in there; with `wait` it waits for that one.
    """
    path = folder / LOCK_FILE
    with open(path, "a+") as file:  # never truncated before it is ours: the other's name stands in it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BlockingIOError(
                f"{folder} is in use by {_holder(file)}: wait for it, stop it, or choose another --config.run_dir"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise OSError(f"cannot lock {path}: {error.strerror}") from error
            print(
                f"note: no locks on the file system of {folder}: see that no other process works in it", file=sys.stderr
            )
        own = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        file.truncate(0)
        file.write(run_log.to_json(own))
        file.flush()
        yield


def take_turns(folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Each name once, kept from other processes until the next is asked for; what another one has is waited for."""
    waiting = list(names)
    while waiting:
        held = []
        for name in waiting:
            with _free(folder / f".{name}.lock") as mine:
                if mine:
                    yield name
                else:
                    held.append(name)
        waiting = held
        if waiting:
            time.sleep(_SECONDS_BETWEEN_LOOKS)


@contextlib.contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Whether nobody has the lock file `path`; then it is ours to the end. Without locks it always is."""
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError) and error.errno not in _NO_LOCKS:
                raise OSError(f"cannot lock {path}: {error.strerror}") from error
            mine = not isinstance(error, BlockingIOError)
        else:
            mine = True
        yield mine


def _holder(file) -> str:
    """Who has the lock; the file is empty for a moment while a process takes it."""
    file.seek(0)
    try:
        found = json.loads(file.read())
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
