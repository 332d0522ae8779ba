"""Who may be reached by whom: what listens on more than this machine needs a token that the others must know."""

import ipaddress
from urllib.parse import urlsplit

SHORTEST_TOKEN = 16  # characters


def require_token(address: str, token: str | None, scheme: str = "tcp") -> None:
    """Raises ValueError for a token that is too short, or that is missing at an address of other machines' reach."""
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ValueError(f"the token has {len(token)} characters, and {SHORTEST_TOKEN} is the least")
    if token is None and not is_local(address, scheme):
        raise ValueError(
            f"{address} can be reached from other machines: set a token, or listen on {scheme}://127.0.0.1"
        )


def is_local(address: str, scheme: str = "tcp") -> bool:
    """Whether only this machine can reach an address; raises ValueError for one of another `scheme`."""
    parts = urlsplit(address)
    if scheme == "tcp" and parts.scheme == "ipc":
        return True
    if parts.scheme != scheme or not parts.hostname:
        known = "tcp://HOST:PORT or ipc://FILE" if scheme == "tcp" else f"{scheme}://HOST:PORT"
        raise ValueError(f"an address is {known}, got {address!r}")
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"  # a name or an interface may be anything
