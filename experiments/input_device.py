"""A person at an input device: who listens, the minute in which person and hand are brought together, what is said."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from token_file import read_token

from dexgen_jax.deploy import calibration
from dexgen_jax.deploy.calibration import Calibration
from dexgen_jax.deploy.stream import Stream
from dexgen_jax.hand.description import Hand
from dexgen_jax.run_log import atomic_write, to_json
from dexgen_jax.viz.session import Session, Step

FILE = "calibration.json"


@contextmanager
def listening(config: ConfigDict, hand: Hand) -> Iterator[Stream]:
    """A stream that answers in a thread of its own."""
    stream, over = Stream(hand, config.address, read_token(config), config.max_age), threading.Event()
    thread = threading.Thread(target=stream.serve, args=(over.is_set,), daemon=True)
    thread.start()
    try:
        yield stream
    finally:
        over.set()
        thread.join()
        stream.close()


def watch(session: Session, stream: Stream) -> Callable[[Step], None]:
    """To be called after each step: counts what it followed, and says in one line when the hand begins to hold."""
    said = ""

    def look(step: Step) -> None:
        nonlocal said
        if not session.holding:
            stream.done()
        if session.holding != said:
            said = session.holding
            print(f"holding: {said}" if said else "following the device again", file=sys.stderr, flush=True)

    return look


def calibrated(config: ConfigDict, stream: Stream, hand: Hand, folder: Path) -> Calibration:
    """The calibration that the folder keeps, or a new one if it has none, or `config.calibrate` asks for it."""
    path = folder / FILE
    if path.exists() and not config.calibrate:
        return read(path, hand)
    made = take(config, stream, hand)
    atomic_write(path, to_json({"hand": hand.name, **made.to_dict()}, indent=2) + "\n")
    return made


def read(path: Path, hand: Hand) -> Calibration:
    """The calibration in a file, for `hand`. Raises ValueError for one that is damaged, or of another hand."""
    try:
        said = json.loads(path.read_text())
        if said.pop("hand") != hand.name:
            raise ValueError(f"it is not of the {hand.name} hand")
        return Calibration.from_dict(said, hand.num_tips)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no calibration ({error}): calibrate anew with --config.calibrate=True") from error


def take(config: ConfigDict, stream: Stream, hand: Hand) -> Calibration:
    """Asks for each pose, on the screen and in the answers to the device, and fits. Waits for the device to speak."""
    say = lambda words: print(words, file=sys.stderr, flush=True)
    say(f"waiting for a device at {stream.address}; Ctrl-C stops")
    while not len(stream.readings()):
        time.sleep(0.05)
    places = []
    for pose, words in calibration.POSES.items():
        stream.pose = pose
        say(f"{pose} hand: {words}. In {config.ready:g} s, and hold it for {config.hold:g} s")
        time.sleep(config.ready)
        stream.readings()
        time.sleep(config.hold)
        places.append(calibration.place(stream.readings(), stream.fingers, pose))
    stream.pose = ""
    made = calibration.fit(np.stack(places), calibration.of_hand(hand), stream.fingers, config.common_scale)
    say("calibrated: " + ", ".join(f"{f} x {s:.2f}" for f, s in zip(stream.fingers, made.scale, strict=True)))
    return made
