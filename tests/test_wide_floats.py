"""JAX_ENABLE_X64=1, which other code in the same process may need, changes nothing here: types are said."""

import os
import subprocess
import sys
from pathlib import Path


def test_tasks_controller_and_training_run_with_64_bits_enabled():
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    script = Path(__file__).with_name("wide_floats.py")
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    done_parts = done.stdout.split()[-5:]  # MJX has words of its own to say before
    assert done_parts == ["anygrasp", "fine_rotation", "free_motion", "controller", "training"], done.stderr
