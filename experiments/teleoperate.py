"""A person's fingertips drive the simulated hand, helped by the controller here or by a server that runs elsewhere.

Reproduces: the set-up of DexterityGen (arXiv:2502.04307, section IV): a person's motion, retargeted, is the command,
and the controller keeps the object. A glove or a camera's tracker sends fingertips, see docs/teleoperation.md.
Time: compiles (under a minute on 2 free cores); calibrates, once, for half a minute; then until Ctrl-C.
Expected: half of the messages move the hand's targets within 60 ms (docs/teleoperation.md); the last line has p50, p99.
Command: python experiments/teleoperate.py --config=experiments/configs/teleoperate.py:laptop
Without a device, `python experiments/send_fingertips.py` in another terminal plays one.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator

import artefacts
import input_device
import launch
import stopping
import view_session
from ml_collections import ConfigDict
from token_file import read_token

from dexgen_jax.deploy.client import Client
from dexgen_jax.hand import registry
from dexgen_jax.hand.description import Hand
from dexgen_jax.run_log import RunLog
from dexgen_jax.viz import viewer
from dexgen_jax.viz.pace import Pace, keep
from dexgen_jax.viz.session import Session


def run(config: ConfigDict, log: RunLog) -> dict:
    """Calibrates, then follows the device until told to stop; the result is what was waited for and what was held."""
    hand = artefacts.hand(config)
    if config.page:
        viewer.require_viser()
        viewer.free_port("127.0.0.1", config.page)  # that it is taken is said now, and not after a minute
    with contextlib.ExitStack() as opened:
        client = opened.enter_context(helping(config, hand)) if config.server else None
        stream = opened.enter_context(input_device.listening(config, hand))
        session = view_session.build_session(config, client, stream.command)
        calibration = input_device.calibrated(config, stream, hand, log.folder)
        if client:
            client.timeout_s = 0.8 * session.account.period  # an answer that comes later is of no use
        session.listeners.append(input_device.watch(session, stream))
        stop = opened.enter_context(stopping.asked(config.seconds))
        stream.follow(calibration)
        print(f"following the device at {stream.address}; Ctrl-C stops", file=sys.stderr, flush=True)
        pace = live(config, session, log, stop)
        tallies = {kind: vars(tally) for kind, tally in session.account.tallies.items()}
        return {"steps": pace.steps, "late_share": pace.late_share, "tallies": tallies, "device": stream.statistics()}


def live(config: ConfigDict, session: Session, log: RunLog, stop: Callable[[], bool]) -> Pace:
    """Ten control steps a second until `stop()`, on a page of the viewer if the config has one."""
    if not config.page:
        pace = Pace(session.account.period)
        keep(pace, session.tick, stop)
        return pace
    with contextlib.closing(viewer.Viewer(session, port=config.page, folder=log.folder)) as page:
        print(f"open {page.address} in a browser", file=sys.stderr, flush=True)
        page.serve(stop)
        return page.pace


@contextlib.contextmanager
def helping(config: ConfigDict, hand: Hand) -> Iterator[Client]:
    """The controller of another process, see serve.py."""
    with Client(config.server, read_token(config)) as client:
        registry.refuse_other(f"the controller at {config.server}", client.describe()["hand"], hand.name)
        yield client


if __name__ == "__main__":
    launch.main(run, continues=False)
