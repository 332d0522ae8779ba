"""Where a dataset lies: a folder of this machine, or a bucket (gs:// or s3://), which TensorStore reads and writes.

Both hold files by name, written whole or not at all. A folder has locks besides, by which several writers keep out of
each other's way; they are the kernel's, so they are gone when their process is, however that ended.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorstore

from dexgen_jax import run_log

SCHEMES = {"gs": "gcs", "s3": "s3"}  # of an address -> TensorStore's driver
_LOCK_FILE = ".writing"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def is_bucket(where: str | Path) -> bool:
    """Whether `where` is an address such as s3://bucket/recordings, and not a folder."""
    return isinstance(where, str) and "://" in where


def at(where: "str | Path | Folder | Bucket") -> "Folder | Bucket":
    """The place that a folder or an address names. Raises ValueError for one that cannot be used."""
    if isinstance(where, Folder | Bucket):
        return where
    return Bucket(str(where)) if is_bucket(where) else Folder(where)


class Folder:
    """A folder of this machine, or of a file system that several share."""

    def __init__(self, path: str | Path) -> None:
        """Makes nothing yet."""
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    def kvstore(self, name: str) -> dict[str, Any]:
        """TensorStore's name of the folder `name` inside. Raises ValueError if it would misread it."""
        path = str(self.path.resolve())  # resolved, for TensorStore takes no path with `..` in it
        # TensorStore takes a backslash for a slash, so its files would lie elsewhere, and knows no name but text.
        if "\\" in path or any("\udc80" <= letter <= "\udcff" for letter in path):
            raise ValueError(f"a dataset cannot be in {path!a}: choose a path of UTF-8 text without a backslash")
        return {"driver": "file", "path": f"{path}/{name}/"}

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None if there is none."""
        path = self.path / name
        return path.read_bytes() if path.is_file() else None

    def write(self, name: str, data: str) -> None:
        """Writes a file, in one step."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        run_log.atomic_write(self.path / name, data)

    def names(self, folder: str) -> list[str]:
        """The names of the files in the folder `folder` inside, in order."""
        path = self.path / folder
        return sorted(os.listdir(path)) if path.is_dir() else []

    def size(self, name: str) -> int | None:
        """Bytes of a file, None if there is none."""
        path = self.path / name
        return path.stat().st_size if path.exists() else None

    @contextlib.contextmanager
    def hold(self, number: int, wait: bool = False) -> Iterator[bool]:
        """Keeps other processes off what `number` stands for; gives False, and holds nothing, if one has it.

        With `wait` it waits instead. Where the file system has no locks it gives True to everybody.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with _lock_file(self.path.resolve() / _LOCK_FILE) as locks:
            try:
                fcntl.lockf(locks, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, number)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    yield False
                    return
                if error.errno not in _NO_LOCKS:
                    raise OSError(f"cannot lock {self.path / _LOCK_FILE}: {error.strerror}") from error
            try:
                yield True
            finally:
                with contextlib.suppress(OSError):  # without locks there is nothing to give back
                    fcntl.lockf(locks, fcntl.LOCK_UN, 1, number)


_opening = threading.RLock()  # one that can be taken twice: garbage, collected at any moment, may hold something
_opened: dict[Path, list[int]] = {}  # lock files: descriptor, and how many use it


@contextlib.contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    """A file whose bytes are locks, opened once in a process and closed by its last user.

    Whoever closes such a file gives back all the locks that the process has in it, by whichever descriptor.
    """
    with _opening:
        if path not in _opened:
            _opened[path] = [os.open(path, os.O_RDWR | os.O_CREAT, 0o666), 0]
        shared = _opened[path]
        shared[1] += 1
    try:
        yield shared[0]
    finally:
        with _opening:
            shared[1] -= 1
            if not shared[1]:
                os.close(_opened.pop(path)[0])


class Bucket:
    """A folder in an object store. It has no locks: its writers are told which blocks are theirs."""

    def __init__(self, address: str) -> None:
        """`address` is SCHEME://BUCKET/PATH; AWS_ENDPOINT_URL names another server than Amazon's."""
        scheme, _, rest = address.partition("://")
        bucket, _, path = rest.partition("/")
        if scheme not in SCHEMES or not bucket or not path.strip("/"):
            known = " or ".join(f"{name}://BUCKET/FOLDER" for name in SCHEMES)
            raise ValueError(f"{address!r} names no place for a dataset: it must be {known}")
        self.address, self._path = address.rstrip("/"), path.strip("/")
        self._spec = {"driver": SCHEMES[scheme], "bucket": bucket}
        if scheme == "s3" and (endpoint := os.environ.get("AWS_ENDPOINT_URL")):
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            self._spec |= {"endpoint": endpoint.rstrip("/"), "aws_region": region}
        self._files: tensorstore.KvStore | None = None

    def __str__(self) -> str:
        return self.address

    def kvstore(self, name: str) -> dict[str, Any]:
        """TensorStore's name of the folder `name` inside."""
        return {**self._spec, "path": f"{self._path}/{name}/".replace("//", "/")}

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None if there is none."""
        found = self._open().read(name).result()
        return found.value if found.state == "value" else None

    def write(self, name: str, data: str) -> None:
        """Writes a file, in one step."""
        self._open().write(name, data.encode()).result()

    def names(self, folder: str) -> list[str]:
        """The names of the files in the folder `folder` inside, in order."""
        inside = tensorstore.KvStore.KeyRange(f"{folder}/", f"{folder}0")  # '0' follows '/'
        return sorted(key.decode().removeprefix(f"{folder}/") for key in self._open().list(inside).result())

    def size(self, name: str) -> int | None:
        """Not known: an object is never cut short, and whether it is there is seen when it is read."""
        return None

    @contextlib.contextmanager
    def hold(self, number: int, wait: bool = False) -> Iterator[bool]:
        """Always gives True."""
        yield True

    def _open(self) -> tensorstore.KvStore:
        if self._files is None:
            self._files = tensorstore.KvStore.open(self.kvstore("")).result()
        return self._files
