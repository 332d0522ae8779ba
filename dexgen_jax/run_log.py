"""What a run leaves behind: metric lines, TensorBoard, a progress bar, and the result that says that a stage is done.

    runs/<name>/metrics.jsonl             one line per interval, of all stages
    runs/<name>/tensorboard/<stage>/      the same numbers
    runs/<name>/<stage>/result.json       written last, atomically: the stage is done

Host only: nothing here is traced.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rich.console
import rich.progress

RESULT_FILE = "result.json"
METRICS_FILE = "metrics.jsonl"
SECONDS_BETWEEN_LINES = 15.0  # of a progress that does not go to a terminal


def atomic_write(path: str | Path, data: str | bytes) -> None:
    """Writes `data` to `path`; a reader, or a kill at any moment, finds the old file or the new one, never a part."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON text of `value`: arrays become lists, paths strings, numbers that are not finite null (JSON has no nan)."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    array = np.asarray(value)
    if array.dtype == object:
        raise TypeError(f"{value!r} is a {type(value).__name__}, which JSON cannot hold: log plain values and arrays")
    return _plain(array.tolist())


class RunLog:
    """The log of one stage in one run folder; started again on the same folder, it goes on where it ended."""

    def __init__(self, run_dir: str | Path, stage: str, writes: bool = True):
        """`stage` is a folder inside `run_dir`; with `writes=False` (all hosts but the first) no file is touched."""
        self.run_dir, self.stage, self.writes = Path(run_dir), stage, writes
        self.folder = self.run_dir / stage
        self._tensorboard = None
        self._metrics: Any = None
        if writes:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._metrics = _open_lines(self.run_dir / METRICS_FILE)
            except OSError as error:
                raise OSError(
                    f"cannot write in the run folder {self.run_dir}: {error.strerror or error}; "
                    "choose a folder that can be written with --config.run_dir=FOLDER"
                ) from error

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Appends one line with the scalars in `metrics` at `step` (whatever the stage counts, always rising)."""
        values = {name: _scalar(name, value) for name, value in metrics.items()}
        if not self.writes:
            return
        line = {"stage": self.stage, "step": int(step), "time": round(time.time(), 3), **values}
        try:
            self._metrics.write(to_json(line).encode() + b"\n")  # unbuffered: one line is one write
            for name, value in values.items():
                self._board().add_scalar(name, value, int(step))
        except OSError as error:
            raise OSError(f"cannot write metrics in {self.run_dir}: {error.strerror or error}") from error

    def _board(self):
        if self._tensorboard is None:
            from tensorboardX import SummaryWriter  # slow to import, and many logs never write a number

            self._tensorboard = SummaryWriter(str(self.run_dir / "tensorboard" / self.stage), flush_secs=10)
        return self._tensorboard

    @contextmanager
    def progress(self, description: str, total: float, unit: str, done: float = 0) -> Iterator["Progress"]:
        """A bar with rate and remaining time on stderr; plain lines now and then when that is not a terminal.

        `total` and `done` (what an earlier run has finished already) count in `unit`.
        """
        bar = Progress(description, total, unit, done, visible=self.writes)
        try:
            yield bar
        finally:
            bar.close()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes the result, a dict that JSON can hold: from here on the stage counts as done."""
        if self.writes:
            atomic_write(self.folder / RESULT_FILE, to_json(result, indent=2) + "\n")
        self.close()

    def result(self) -> dict | None:
        """The result of the finished stage, or None if it is not finished."""
        path = self.folder / RESULT_FILE
        if not path.exists():
            return None
        try:
            result = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} is not JSON ({error}): delete it, and the stage finishes again") from error
        if not isinstance(result, dict):
            raise ValueError(f"{path} is not a result but {result!r}: delete it, and the stage finishes again")
        return result

    def close(self) -> None:
        """Flushes TensorBoard and closes the files; the log can be read but not written afterwards."""
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None
        if self._metrics is not None:
            self._metrics.close()


def read_metrics(run_dir: str | Path, stage: str) -> list[dict]:
    """The lines of one stage by rising step; where a killed run went back to an earlier step, the later line counts."""
    lines: list[dict] = []
    for text in (Path(run_dir) / METRICS_FILE).read_bytes().splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # the one line a kill cut short; the run that continued wrote it again
        if isinstance(line, dict) and line.get("stage") == stage:
            while lines and lines[-1]["step"] >= line["step"]:
                lines.pop()
            lines.append(line)
    return lines


class Progress:
    """How far a long loop has come; made by `RunLog.progress`."""

    def __init__(self, description: str, total: float, unit: str, done: float, visible: bool):
        """See `RunLog.progress`; a progress that is not `visible` counts and prints nothing."""
        self.description, self.total, self.unit, self.done = description, total, unit, done
        self._start_time, self._start_done, self._line_time = time.monotonic(), done, time.monotonic()
        self._console = rich.console.Console(stderr=True)
        self._visible, self._bar = visible, None
        if visible and self._console.is_terminal:
            self._bar = rich.progress.Progress(
                *("[progress.description]{task.description}", rich.progress.BarColumn(bar_width=24)),
                *("{task.fields[count]}", rich.progress.TimeRemainingColumn(), "{task.fields[shown]}"),
                console=self._console,
                speed_estimate_period=60,
            )
            self._task = self._bar.add_task(description, total=total, completed=done, count="", shown="")
            self._bar.start()

    def advance(self, n: float = 1, **shown: Any) -> None:
        """Counts `n` more units; `shown` values stand at the end of the line."""
        self.done += n
        texts = "  ".join(f"{name} {_short(value)}" for name, value in shown.items())
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, count=self._count(), shown=texts)
        elif self._visible and time.monotonic() - self._line_time > SECONDS_BETWEEN_LINES:
            self._line(texts)

    def rate(self) -> float:
        """Units per second since this process began the loop."""
        return (self.done - self._start_done) / max(time.monotonic() - self._start_time, 1e-9)

    def close(self) -> None:
        """Ends the bar, or prints the last plain line."""
        if self._bar is not None:
            self._bar.stop()
        elif self._visible:
            self._line("")

    def _count(self) -> str:
        return f"{_short(self.done)}/{_short(self.total)} {self.unit}  {_short(self.rate())} {self.unit}/s"

    def _line(self, texts: str) -> None:
        self._line_time = time.monotonic()
        left = max(self.total - self.done, 0) / max(self.rate(), 1e-9)
        remaining = f"{int(left) // 60}:{int(left) % 60:02d} left" if self.rate() > 0 else "time left unknown"
        self._console.print(f"{self.description}  {self._count()}  {remaining}  {texts}".rstrip(), highlight=False)


def _open_lines(path: Path):
    """Opens a file of lines for appending; a last line that a kill cut short is ended first."""
    file = open(path, "a+b", buffering=0)
    if file.tell() > 0:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def _scalar(name: str, value: Any) -> float:
    if np.size(value) != 1:
        raise ValueError(f"metric {name} has shape {np.shape(value)}: a metric is one number; log a mean or each part")
    return float(np.asarray(value).reshape(()))


def _short(value: Any) -> str:
    """A number in a few characters: 0.0123, 3.4, 12k, 1.5M; a text as it is."""
    if isinstance(value, str):
        return value
    value = float(value)
    for above, size, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= above:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
