"""A training on native physics that was killed and continued is, bit for bit, the one that was left alone."""

import os
import signal
import sys
from pathlib import Path

import processes
import pytest


def train(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(Path(__file__).with_name("native_run.py")), *map(str, arguments)]
    return processes.run(command, env=environment)


@pytest.mark.slow
def test_killed_after_a_checkpoint_and_continued(tmp_path):
    whole = train(tmp_path / "whole", 4)
    assert whole.returncode == 0, whole.stderr[-2000:]
    killed = train(tmp_path / "killed", 4, 3)
    assert killed.returncode == -signal.SIGKILL
    continued = train(tmp_path / "killed", 4)
    assert continued.returncode == 0, continued.stderr[-2000:]
    (begun, bits), (resumed, other) = whole.stdout.split()[-2:], continued.stdout.split()[-2:]
    assert (begun, resumed) == ("0", "2")
    assert bits == other
