"""A door that opens to a token, before a server that listens on this machine alone and asks nobody who they are.

`http://HOST:PORT/?token=...` gives the browser a cookie, and with the cookie the door is open: what comes after the
head of a request is handed on as it is, web sockets too. Nothing is encrypted: see docs/viewer.md.
"""

import asyncio
import contextlib
import hashlib
import hmac
import threading
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

_COOKIE = "dexgen_viewer"
_LONGEST_HEAD = 16384  # bytes
_PATIENCE = 10.0  # s for the head of a request
_REFUSED = "the token is missing or wrong"


class Gate:
    """Listens at once, in a thread of its own, until `close`."""

    def __init__(self, host: str, port: int, token: str, behind: int):
        """`behind` is the port, on this machine, of the server. Raises OSError for a port that cannot be had."""
        self._token, self._behind = token, behind
        # The browser keeps a word that follows from the token, not the token.
        self._word = hmac.new(token.encode(), _COOKIE.encode(), hashlib.sha256).hexdigest()
        self._loop = asyncio.new_event_loop()
        serving = asyncio.start_server(self._serve, host, port, limit=_LONGEST_HEAD)
        try:
            self._server = self._loop.run_until_complete(serving)
        except OSError as error:
            self._loop.close()
            raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Frees the address."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            answer = self._answer(head)
            if answer is None:
                await self._hand_on(head, reader, writer)
            else:
                writer.write(answer)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    def _answer(self, head: bytes) -> bytes | None:
        """What the gate itself says to a request, or None if the request may pass."""
        line, _, fields = head.decode("latin-1").partition("\r\n")
        words = line.split(" ")
        target = urlsplit(words[1]) if len(words) == 3 else urlsplit("")
        given = parse_qs(target.query).get("token")
        if given and _same(given[0], self._token):
            cookie = f"Set-Cookie: {_COOKIE}={self._word}; Path=/; HttpOnly; SameSite=Strict\r\n"
            end = "Content-Length: 0\r\nConnection: close\r\n\r\n"
            return f"HTTP/1.1 303 See Other\r\nLocation: /\r\n{cookie}{end}".encode()
        if not given and _same(_cookie(fields), self._word):
            return None
        said = f"{_REFUSED}: open this page as http://HOST:PORT/?token=...\n"
        kind = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        return f"HTTP/1.1 403 Forbidden\r\n{kind}Content-Length: {len(said)}\r\n\r\n{said}".encode()

    async def _hand_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ways, until either side has enough."""
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        back_writer.write(head)
        ways = [asyncio.ensure_future(_pump(*way)) for way in ((reader, back_writer), (back_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            back_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def _cookie(fields: str) -> str:
    """The gate's cookie among the fields of a request's head, or nothing."""
    lines = (line.partition(":") for line in fields.split("\r\n"))
    sent = "; ".join(value.strip() for name, _, value in lines if name.lower() == "cookie")
    with contextlib.suppress(CookieError):
        found = SimpleCookie(sent).get(_COOKIE)
        return found.value if found else ""
    return ""


def _same(given: str, secret: str) -> bool:
    """In constant time: how long the comparison takes must not tell how much of a guess was right."""
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())
