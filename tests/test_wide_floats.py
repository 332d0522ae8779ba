"""JAX_ENABLE_X64=1, which other code in the same process may need, changes nothing here: types are said."""

import os
import sys
from pathlib import Path

import processes
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["run"]], ids=["traced", "run"])
def test_tasks_controller_and_training_run_with_64_bits_enabled(how):
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    script = Path(__file__).with_name("wide_floats.py")
    done = processes.run([sys.executable, script, *how], env=environment)
    done_parts = done.stdout.split()[-6:]  # MJX has words of its own to say before
    wanted = ["anygrasp", "fine_rotation", "free_motion", "physics", "controller", "training"]
    assert done_parts == wanted, done.stderr
