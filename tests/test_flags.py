import os
import sys

import processes
import pytest

SCHEDULER = "--xla_cpu_enable_concurrency_optimized_scheduler"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{SCHEDULER}=false"),
        ("--xla_dump_to=x", f"--xla_dump_to=x {SCHEDULER}=false"),
        (f"{SCHEDULER}=true", f"{SCHEDULER}=true"),  # what somebody says stays
    ],
)
def test_callbacks_are_kept_from_waiting_for_themselves(before, after):
    program = "import dexgen_jax, os; print(os.environ['XLA_FLAGS'])"
    said = processes.run([sys.executable, "-c", program], env=os.environ | {"XLA_FLAGS": before})
    assert said.stdout.strip() == after, said.stderr
