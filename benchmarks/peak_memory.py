"""Peak memory of this process on Linux."""

from pathlib import Path


def peak_gb() -> float:
    """Most that has been resident at once [GB], from the process's start.

    Not getrusage: its maximum is inherited from the process that started this one.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    high = next(line for line in status if line.startswith("VmHWM"))
    return 1024 * int(high.split()[1]) / 1e9
