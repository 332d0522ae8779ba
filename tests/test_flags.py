import os
import subprocess
import sys

import pytest

SCHEDULER = "--xla_cpu_enable_concurrency_optimized_scheduler"


@pytest.mark.parametrize(("before", "after"), [
    ("", f"{SCHEDULER}=false"),
    ("--xla_dump_to=x", f"--xla_dump_to=x {SCHEDULER}=false"),
    (f"{SCHEDULER}=true", f"{SCHEDULER}=true"),  # what somebody says stays
])  # fmt: skip
def test_callbacks_are_kept_from_waiting_for_themselves(before, after):
    program = "import dexgen_jax, os; print(os.environ['XLA_FLAGS'])"
    environment = os.environ | {"XLA_FLAGS": before}
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == after, said.stderr
