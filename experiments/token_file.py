"""The secret of a server that other machines reach, in a file that nobody else can read."""

from pathlib import Path

from ml_collections import ConfigDict


def read_token(config: ConfigDict) -> str | None:
    """The secret that clients must know. From a file: a command line is seen by everybody on the machine."""
    if not config.token_file:
        return None
    path = Path(config.token_file)
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others: chmod 600 {path}")
    return path.read_text().strip()
