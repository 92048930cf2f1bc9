"""A TCP link that can be cut: stands between a client and its server and lets bytes through, or not."""

import asyncio
import contextlib
import random
from enum import Enum
from typing import Self

from simulators.served import PortTakenError

HOST = "127.0.0.1"
CHUNK_BYTES = 65536


class LinkState(Enum):
    """What happens to bytes."""

    WHOLE = "whole"  # they pass, after ``delay_ms``
    CUT = "cut"  # every connection is torn down, new ones too
    HALF_OPEN = "half-open"  # connections stay and new ones are accepted, but nothing passes


class Link:
    """One listening port that leads to one target.

    ``delay_ms`` holds every chunk back in both directions; of all chunks the share ``loss`` vanishes, as on a bad radio
    or serial bridge (``seed`` says which).
    """

    def __init__(
        self,
        target_port: int,
        *,
        target_host: str = HOST,
        listen_port: int = 0,
        delay_ms: float = 0.0,
        loss: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.delay_ms = delay_ms
        self.loss = loss
        self._chance = random.Random(seed)
        self.state = LinkState.WHOLE
        self._target = (target_host, target_port)
        self._listen_port = listen_port
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(self._accept, HOST, self._listen_port)
        except OSError:
            raise PortTakenError(
                f"port {self._listen_port} on {HOST} is taken; stop the program that listens there or name another"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()
        self._tear()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def cut(self) -> None:
        """Tear every connection down and refuse new ones."""
        self.state = LinkState.CUT
        self._tear()

    def swallow(self) -> None:
        """Let nothing through and tell nobody."""
        self.state = LinkState.HALF_OPEN

    def restore(self) -> None:
        """Let bytes pass again; connections that have lost bytes are torn down."""
        if self.state is LinkState.HALF_OPEN:
            self._tear()
        self.state = LinkState.WHOLE

    def _tear(self) -> None:
        for end in list(self._ends):
            end.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        self._ends.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._talk(reader, writer)
        writer.close()
        self._ends.discard(writer)
        self._talks.discard(talk)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.state is LinkState.CUT:
            writer.transport.abort()
            return
        if self.state is LinkState.HALF_OPEN:
            while await reader.read(CHUNK_BYTES):
                pass
            return
        there, onward = await asyncio.open_connection(*self._target)
        self._ends.add(onward)
        pumps = [asyncio.create_task(self._pump(reader, onward)), asyncio.create_task(self._pump(there, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            onward.close()
            self._ends.discard(onward)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self.delay_ms:
                await asyncio.sleep(self.delay_ms / 1000)
            if self.state is LinkState.WHOLE and self._chance.random() >= self.loss:
                writer.write(chunk)
                await writer.drain()
