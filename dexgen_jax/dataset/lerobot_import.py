"""Import of LeRobotDataset v3: the logs of robots in laboratories become recordings to learn from.

What a frame holds, see `lerobot.py`. A log must have `observation.state` and `action`, both with the joints of the hand
by name, in its order, in rad. Needs pyarrow: the extra [lerobot].
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dexgen_jax
from dexgen_jax.dataset import store
from dexgen_jax.dataset.lerobot import ACTION, FLAGS, IN_FORCE, STATE, VERSION, parquet
from dexgen_jax.hand.description import Hand

SLACK = 0.05  # rad that a joint may be read, or be told to go, outside its limits: encoders are not perfect


def read(
    folder: str | Path, hand: Hand, to: str | Path, modes: Sequence[str], control_hz: float = 10.0, rows: int = 320,
    streams: int = 16, mode: str | None = None,
) -> store.Dataset:  # fmt: skip
    """Makes a dataset in `to` of a robot's log in `folder`; joint positions and targets of `hand`, in rad.

    Frames are thinned out to `control_hz`. Episodes are laid end to end into streams of `rows` rows. The task of a
    frame is its mode, if it is one of `modes`; `mode` names one for all frames instead. Raises ValueError naming the
    frame and the column of the first value that cannot be: unknown joints or another order, outside the limits, not a
    number, time that runs back.
    """
    folder, info = Path(folder), _info(Path(folder))
    _refuse_joints(folder, info, hand)
    every = info["fps"] / control_hz
    if every != round(every) or every < 1:
        raise ValueError(
            f"{folder} has {info['fps']} frames a second, of which {control_hz} cannot be taken evenly: "
            f"they must be a multiple of {control_hz}"
        )
    numbers = _mode_numbers(folder, modes, mode)
    frames = _checked_episodes(folder, info, hand, numbers)
    pieces = [piece for episode in frames for piece in _pieces(_thin(episode, round(every)), rows)]
    if not pieces:
        raise ValueError(f"{folder} has no episode of three rows or more at {control_hz} rows a second")
    packed = _pack(pieces, rows)
    layout = store.Layout(-(-len(packed) // streams), streams, rows)
    provenance = {"lerobot": str(folder), "robot": info.get("robot_type"), "fps": info["fps"]}
    made = {"control_hz": control_hz, "objects": [], "dexgen_jax": dexgen_jax.__version__, "provenance": provenance}
    writer = store.create(to, hand, layout, made)
    for block in writer.claim():
        part = packed[block * streams : (block + 1) * streams]
        writer.write(block, _columns(hand, [_joined(stream, rows) for stream in part], layout))
    return store.open_dataset(to, hand)


def _info(folder: Path) -> dict[str, Any]:
    path = folder / "meta/info.json"
    if not path.is_file():
        raise FileNotFoundError(f"no LeRobotDataset in {folder}: {path} is missing")
    try:
        info = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): export or copy the log again") from error
    if info.get("codebase_version") != VERSION:
        raise ValueError(
            f"{folder} has LeRobot's format {info.get('codebase_version')}, and this reads {VERSION}: "
            "convert it with the scripts of lerobot"
        )
    return info


def _refuse_joints(folder: Path, info: Mapping[str, Any], hand: Hand) -> None:
    wanted = list(hand.joint_names)
    for column in (STATE, ACTION):
        feature = info["features"].get(column)
        if feature is None:
            raise ValueError(f"{folder} has no column {column}; there are: {', '.join(info['features'])}")
        names = feature.get("names") or []
        if isinstance(names, Mapping):  # older logs group them, as in {"motors": [...]}
            names = [name for group in names.values() for name in group]
        unknown = [name for name in names if name not in wanted]
        if unknown:
            raise ValueError(
                f"{folder}: {column} has a joint {unknown[0]!r}, which the {hand.name} hand has not; "
                f"its joints are {', '.join(wanted)}"
            )
        if list(names) != wanted:
            place = next((i for i, (a, b) in enumerate(zip(names, wanted, strict=False)) if a != b), len(names))
            found = names[place] if place < len(names) else "nothing"
            raise ValueError(
                f"{folder}: {column}[{place}] is {found!r} where the {hand.name} hand has "
                f"{wanted[min(place, len(wanted) - 1)]!r}: bring the joints into its order"
            )
        unit = (feature.get("info") or {}).get("unit", "rad")
        if unit != "rad":
            raise ValueError(f"{folder}: {column} is in {unit}, and must be in rad: convert it")


def _mode_numbers(folder: Path, modes: Sequence[str], mode: str | None) -> Mapping[int, int]:
    """The mode of each task number."""
    if mode is not None and mode not in modes:
        raise ValueError(f"no mode {mode!r} of the controller to take for all frames; there are: {', '.join(modes)}")
    path = folder / "meta/tasks.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"the LeRobotDataset in {folder} is not whole: {path} is missing")
    table = parquet()[1].read_table(path).to_pydict()
    names = next(values for name, values in table.items() if name != "task_index")
    numbers = {}
    for task, name in zip(table["task_index"], names, strict=True):
        if mode is None and name not in modes:
            raise ValueError(
                f"{folder} has the task {name!r}, which is no mode of the controller; there are: "
                f"{', '.join(modes)}: name the one to take for all frames"
            )
        numbers[task] = list(modes).index(name if mode is None else mode)
    return numbers


def _checked_episodes(
    folder: Path, info: Mapping[str, Any], hand: Hand, numbers: Mapping[int, int]
) -> Iterator[dict[str, np.ndarray]]:
    """The columns of each episode in turn. An episode may go on in the next file."""
    names = [STATE, ACTION, "timestamp", "episode_index", "task_index"]
    names += [name for name in (IN_FORCE, FLAGS) if name in info["features"]]
    parts: list[dict[str, np.ndarray]] = []
    for path in sorted(folder.glob("data/*/*.parquet")):
        table = parquet()[1].read_table(path, columns=names)
        columns = {name: _array(table[name]) for name in names}
        number = columns["episode_index"]
        for rows in np.split(np.arange(len(number)), np.flatnonzero(np.diff(number)) + 1):
            piece = {name: values[rows] for name, values in columns.items()}
            if parts and parts[-1]["episode_index"][0] != piece["episode_index"][0]:
                yield _checked(folder, hand, _concatenated(parts), numbers)
                parts = []
            parts.append(piece)
    if parts:
        yield _checked(folder, hand, _concatenated(parts), numbers)


def _array(column: Any) -> np.ndarray:
    """A column of Parquet as (rows,) or (rows, n)."""
    values = column.combine_chunks()
    values = values.chunk(0) if hasattr(values, "chunk") else values
    if not hasattr(values, "flatten") or values.type.num_fields == 0:
        return values.to_numpy(zero_copy_only=False)
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), -1)


def _concatenated(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _checked(
    folder: Path, hand: Hand, episode: dict[str, np.ndarray], numbers: Mapping[int, int]
) -> dict[str, np.ndarray]:
    """The episode as it is. Raises ValueError naming frame and column of the first value that cannot be."""
    where = f"{folder}: episode {episode['episode_index'][0]}, frame"
    for column in (name for name in (STATE, IN_FORCE, ACTION) if name in episode):
        values = episode[column]
        if values.ndim != 2 or values.shape[1] != hand.num_joints:
            raise ValueError(
                f"{folder}: {column} has rows of shape {values.shape[1:]}, "
                f"and the {hand.name} hand has {hand.num_joints} joints"
            )
        for frame, joint in np.argwhere(~np.isfinite(values))[:1]:
            raise ValueError(f"{where} {frame}: {column}[{hand.joint_names[joint]}] is {values[frame, joint]}")
        outside = (values < hand.lower - SLACK) | (values > hand.upper + SLACK)
        for frame, joint in np.argwhere(outside)[:1]:
            raise ValueError(
                f"{where} {frame}: {column}[{hand.joint_names[joint]}] is {values[frame, joint]:.4g} rad, outside "
                f"{hand.lower[joint]:.4g} to {hand.upper[joint]:.4g}; is it in rad, and of this hand?"
            )
    for (frame,) in np.argwhere(~(np.diff(episode["timestamp"]) > 0))[:1] + 1:
        before, now = episode["timestamp"][frame - 1 : frame + 1]
        raise ValueError(f"{where} {frame}: timestamp is {now:.6g} s after {before:.6g} s: time must go on")
    for (frame,) in np.argwhere(~np.isin(episode["task_index"], list(numbers)))[:1]:
        raise ValueError(f"{where} {frame}: task_index is {episode['task_index'][frame]}, which no task has")
    return episode | {"mode": np.asarray([numbers[task] for task in episode["task_index"].tolist()], np.uint8)}


def _thin(episode: Mapping[str, np.ndarray], every: int) -> dict[str, np.ndarray]:
    """Every so many-th row: what was read, and the target in force then, which is the action before.

    The first row has no action before it, so it counts only if the log says what was in force.
    """
    first = 0 if IN_FORCE in episode else every
    at = np.arange(first, len(episode[STATE]), every)
    target = episode[ACTION][at - 1].copy()
    if IN_FORCE in episode and len(at):
        target[0] = episode[IN_FORCE][0]
    flags = np.zeros(len(at), np.uint8)
    if FLAGS in episode:
        flags = np.asarray([np.bitwise_or.reduce(episode[FLAGS][row : row + every]) for row in at], np.uint8)
    flags &= ~np.uint8(store.FIRST)
    return {"q": episode[STATE][at], "target": target, "mode": episode["mode"][at], "flags": flags}


def _pieces(episode: Mapping[str, np.ndarray], rows: int) -> Iterator[dict[str, np.ndarray]]:
    """An episode in pieces that fit a stream, the first row of each marked; what is too short for a motion is left.

    The last piece fills a stream, and the first is what is left: the reader, which leaves out the rows before a drop,
    does not look beyond a piece.
    """
    length = len(episode["mode"])
    for start, stop in itertools.pairwise((0, *range(length % rows or rows, length + 1, rows))):
        piece = {name: values[start:stop].copy() for name, values in episode.items()}
        if len(piece["mode"]) >= 2:
            piece["flags"][0] |= store.FIRST
            yield piece


def _pack(pieces: list[dict[str, np.ndarray]], rows: int) -> list[list[dict[str, np.ndarray]]]:
    """Pieces end to end in streams of at most `rows` rows, in their order."""
    streams: list[list[dict[str, np.ndarray]]] = []
    room = 0
    for piece in pieces:
        if len(piece["mode"]) > room:
            streams.append([])
            room = rows
        streams[-1].append(piece)
        room -= len(piece["mode"])
    return streams


def _joined(pieces: list[dict[str, np.ndarray]], rows: int) -> dict[str, np.ndarray]:
    """One stream of `rows` rows; what is left at its end repeats the last row and is marked as invalid."""
    stream = _concatenated(pieces)
    left = rows - len(stream["mode"])
    padded = {name: np.concatenate([values, np.repeat(values[-1:], left, 0)]) for name, values in stream.items()}
    padded["flags"][rows - left :] = store.INVALID
    return padded


def _columns(hand: Hand, streams: list[dict[str, np.ndarray]], layout: store.Layout) -> dict[str, np.ndarray]:
    """A block of a dataset; streams that are missing are invalid, and so is all that only a simulator knows zero."""
    shape = (layout.streams, layout.rows)
    table = store.columns(hand)
    block = {name: np.zeros((*shape, *column.shape), column.dtype) for name, column in table.items()}
    block["flags"][:] = store.INVALID
    for i, stream in enumerate(streams):
        for name in ("q", "target"):
            block[name][i] = store.quantise(stream[name])
        for name in ("mode", "flags"):
            block[name][i] = stream[name]
    return block
