"""Who has the command: one of those who look on, the first who came; when it leaves, the one who waits longest."""

import threading


class Seat:
    """Clients are named by whatever number the server gives them; calls may come from any thread."""

    def __init__(self):
        self._present: list[int] = []
        self._holder: int | None = None
        self._lock = threading.Lock()

    @property
    def holder(self) -> int | None:
        """The client that has the command, if any is there."""
        return self._holder

    @property
    def watching(self) -> int:
        """How many are there."""
        return len(self._present)

    def come(self, client: int) -> bool:
        """A client is there; returns whether it has the command."""
        with self._lock:
            if client not in self._present:
                self._present.append(client)
            if self._holder is None:
                self._holder = client
            return self._holder == client

    def go(self, client: int) -> bool:
        """A client is gone, wherever it was in what it did; returns whether it had the command."""
        with self._lock:
            self._present = [other for other in self._present if other != client]
            had = self._holder == client
            if had:
                self._holder = self._present[0] if self._present else None
            return had

    def pass_on(self, client: int) -> bool:
        """`client` gives the command to the next in line, and waits behind all others; False if it had none to give."""
        with self._lock:
            if self._holder != client or len(self._present) < 2:
                return False
            self._present = [other for other in self._present if other != client] + [client]
            self._holder = self._present[0]
            return True
