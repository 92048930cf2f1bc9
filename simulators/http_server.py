"""A small HTTP/1.1 server on loopback whose power can be cut: every connection ends, and nothing is said any more."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
HEAD_BYTES_MAX = 16_384
BODY_BYTES_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks; header names are small."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What it is told."""

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def written(self) -> bytes:
        """Give the bytes on the line."""
        lines = [f"HTTP/1.1 {self.status} Simulated", f"Content-Type: {self.kind}", "Connection: close",
                 f"Content-Length: {len(self.body)}", *(f"{k}: {v}" for k, v in self.headers.items())]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode() + self.body


Serve = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


class HttpServer:
    """Hands every request to ``serve``, which writes what it likes; one request per connection."""

    def __init__(self, serve: Serve, port: int, host: str = HOST, secured: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._secured = secured
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; raises OSError where the port is taken."""
        self._server = await asyncio.start_server(
            self._talk, self._host, self._port, limit=HEAD_BYTES_MAX, ssl=self._secured
        )

    async def stop(self) -> None:
        """Cut the power."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            request = await _request(reader)
            if request is not None:
                await self._serve(request, writer)
                await writer.drain()
        except (
            ConnectionError,
            ssl.SSLError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            asyncio.CancelledError,
        ):
            pass  # the client has gone, or the power has
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    length = headers.get("content-length", "0")
    if len(words) < 2 or not length.isdecimal() or int(length) > BODY_BYTES_MAX:  # noqa: PLR2004  # method and path
        return None
    return Request(words[0], words[1], headers, await reader.readexactly(int(length)))
