"""teleoperate.py and its example sender in one process, around a hand without physics."""

import _thread
import contextlib
import socket
import sys
import threading
import time
from pathlib import Path

import command_line
import pytest
import send_fingertips
import teleoperate
import view_session

sys.path.insert(0, str(Path(__file__).parents[1] / "viz"))
from fake_world import FakeWorld, Patient

from dexgen_jax.run_log import RunLog
from dexgen_jax.viz.session import Session

CONFIGS = Path(teleoperate.__file__).parent / "configs"


def configured(script, run_dir, **values):
    """The smoke config of a script, changed."""
    config = command_line.load(f"{CONFIGS}/{script}.py:smoke", CONFIGS)
    config.update({"run_dir": str(run_dir), **values})
    return config


def free_address():
    """A port of this machine that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def teleoperated(run_dir, sent_s, **values):
    """Results of teleoperate.py and of the sender, and the session; the sender leaves after `sent_s`, and all ends."""
    address, sessions, sent = free_address(), [], []
    quick = {"address": address, "ready": 0.05, "hold": 0.4, **values}

    def build(config, helper=None, device=None):
        sessions.append(Session(FakeWorld(reach=9.0), helper or Patient(), {}, device=device))
        sessions[0].wish(operator="device", help=config.help)
        return sessions[0]

    @contextlib.contextmanager
    def until_the_sender_has_left(seconds):
        end = time.monotonic() + 60
        yield lambda: (sent and sessions[0].holding) or time.monotonic() > end

    def send():
        config = configured("send_fingertips", run_dir, address=address, seconds=sent_s, timeout=60.0, rate_hz=150.0)
        config.token_file = values.get("token_file", "")
        try:
            sent.append(send_fingertips.run(config, RunLog(run_dir, "send_fingertips")))
        except Exception:
            _thread.interrupt_main()  # or the other one would wait for a device for ever
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view_session, "build_session", build)
        patch.setattr(teleoperate.stopping, "asked", until_the_sender_has_left)
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        result = teleoperate.run(configured("teleoperate", run_dir, **quick), RunLog(run_dir, "teleoperate"))
        sender.join(120)
    return result, sent[0], sessions[0]
