"""One line of bytes to several meters: a serial port, or a TCP converter that passes bytes on.

Questions queue; the line is silent for ``delay_s`` before each, and what came unasked is thrown away.
"""

import asyncio
import contextlib
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from serial_asyncio_fast import create_serial_connection

from drivers.errors import MalformedError, UnreachableError
from drivers.octets import Taken
from rules.model.line import Cjt188Line, Dlt645Line, MbusLine

F = TypeVar("F")
BUFFER_BYTES_MAX = 2048  # no answer is longer than 300 bytes; who sends more without a frame never stops
QUIET_S = 0.05  # after an answer that went wrong the line has to be silent for so long
QUIET_TRIES_MAX = 10
SILENCES_MAX = 3  # after so many questions without one byte the connection is made anew: it may be half open
CLOSE_S = 1.0
FRAME_BITS_MAX = 300 * 11  # the longest answer on a serial port: time that it takes is not the meter's delay


@dataclass(frozen=True, slots=True)
class Question(Generic[F]):
    """Bytes to send, how a frame is found among what comes back, and which frame is the answer."""

    who: str  # the device, in words
    send: bytes
    take: Callable[[bytes], Taken[F]]
    fits: Callable[[F], bool]


class _BrokenError(Exception):
    """The connection ended while it was used; never leaves this file."""


@dataclass(slots=True)
class _Heard:
    """What came instead of the answer so far."""

    anything: bool = False
    spoilt: bool = False
    strangers: int = 0


class _Port(asyncio.Protocol):
    """The open end: gathers bytes, and hangs up on more than BUFFER_BYTES_MAX for one question."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.data = bytearray()
        self.received = 0  # bytes since the last question
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.flooded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.data += data[:BUFFER_BYTES_MAX]
        self.arrived.set()
        if self.received > BUFFER_BYTES_MAX and self.transport is not None:
            self.flooded = True
            self.transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.gone.set()
        self.arrived.set()


class Wire:
    """A line of meters.  ``queue`` is held while a device is asked; all verbs raise ``drivers.errors`` only."""

    def __init__(self, line: Dlt645Line | Cjt188Line | MbusLine) -> None:
        """Prepare the line; nothing is opened before the first question."""
        self.queue = asyncio.Lock()
        self._line = line
        self._port: _Port | None = None
        self._unclean = False  # the last question was not answered well: something may still come
        self._silences = 0
        self._answering: set[str] = set()  # who answered its last question

    @property
    def place(self) -> str:
        """Where the line leads, in words."""
        return self._line.place

    async def ask(self, question: Question[F]) -> F:
        """Give the answer; one that used to answer is asked once more, and so is all when the connection broke.

        Raises UnreachableError (no byte, or only others answered) or MalformedError (what came is no answer).
        """
        assert self.queue.locked()
        try:
            answer = await self._ask(question)
        except (UnreachableError, MalformedError) as error:
            known = question.who in self._answering
            self._answering.discard(question.who)
            if not known or (isinstance(error, UnreachableError) and error.link):
                raise
            answer = await self._ask(question)
        self._answering.add(question.who)
        return answer

    async def close(self) -> None:
        """Let go of the line."""
        port, self._port = self._port, None
        if port is None:
            return
        if port.transport is not None:
            port.transport.abort()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(port.gone.wait(), CLOSE_S)

    async def _ask(self, question: Question[F]) -> F:
        used = self._port is not None and not self._port.gone.is_set()
        try:
            return await self._exchange(await self._open(), question)
        except _BrokenError:
            await self.close()
            if not used:
                raise UnreachableError(f"{self.place} closed the connection", link=True) from None
        try:  # a converter that has restarted: the old connection only said so when it was used
            return await self._exchange(await self._open(), question)
        except _BrokenError:
            await self.close()
            raise UnreachableError(f"{self.place} closed the connection", link=True) from None

    async def _open(self) -> _Port:
        if self._port is not None and not self._port.gone.is_set() and self._silences < SILENCES_MAX:
            return self._port
        await self.close()
        self._silences = 0
        try:
            async with asyncio.timeout(self._line.timeout_s):
                self._port = await self._connect()
        except (OSError, ValueError, termios.error) as error:  # a time-out is an OSError; the others: not set so
            raise UnreachableError(f"{self.place} cannot be opened ({_reason(error)})", link=True) from None
        return self._port

    async def _connect(self) -> _Port:
        loop, serial = asyncio.get_running_loop(), self._line.serial
        if serial is None:
            _, port = await loop.create_connection(_Port, self._line.host or "", self._line.port or 0)
            return port
        _, opened = await create_serial_connection(
            loop,
            _Port,
            serial.port,
            baudrate=serial.baud,
            parity=serial.parity,
            bytesize=serial.data_bits,
            stopbits=serial.stop_bits,
            exclusive=True,
        )
        assert isinstance(opened, _Port)
        return opened

    async def _exchange(self, port: _Port, question: Question[F]) -> F:
        await self._fall_silent(port)
        assert port.transport is not None
        self._unclean, heard = True, _Heard()
        port.transport.write(question.send)
        try:
            async with asyncio.timeout(self._patience_s):
                answer = await self._answer(port, question, heard)
        except TimeoutError:
            self._silences = 0 if heard.anything else self._silences + 1
            raise self._failure(question, heard) from None
        self._unclean, self._silences = False, 0
        return answer

    @property
    def _patience_s(self) -> float:
        serial = self._line.serial
        return self._line.timeout_s + (FRAME_BITS_MAX / serial.baud if serial is not None else 0.0)

    async def _fall_silent(self, port: _Port) -> None:
        """Wait for ``delay_s``, longer after trouble, and drop what came."""
        pause_s = max(self._line.delay_s, QUIET_S if self._unclean else 0.0)
        for _ in range(QUIET_TRIES_MAX):
            port.data.clear()
            port.received = 0
            if pause_s:
                await asyncio.sleep(pause_s)
            if port.gone.is_set():
                raise _BrokenError
            if not port.data:
                return
        await self.close()
        raise UnreachableError(f"{self.place} never falls silent: something sends without being asked", link=True)

    async def _answer(self, port: _Port, question: Question[F], heard: _Heard) -> F:
        while True:
            taken = question.take(bytes(port.data))
            heard.anything = heard.anything or bool(port.data)
            heard.spoilt = heard.spoilt or taken.spoilt
            del port.data[: taken.used]
            if taken.frame is not None and question.fits(taken.frame):
                return taken.frame
            if taken.frame is not None:
                heard.strangers += 1
                continue
            if port.flooded:
                await self.close()
                raise MalformedError(f"{question.who} on {self.place} sent more than {BUFFER_BYTES_MAX} bytes at once")
            if port.gone.is_set():
                raise _BrokenError
            port.arrived.clear()
            await port.arrived.wait()

    def _failure(self, question: Question[F], heard: _Heard) -> UnreachableError | MalformedError:
        who = f"{question.who} on {self.place}"
        if heard.spoilt:
            return MalformedError(f"{who} sent an answer that cannot be read (its checksum is wrong)")
        if heard.strangers:
            return UnreachableError(f"no answer from {who}; {heard.strangers} other answers came")
        if heard.anything:
            return UnreachableError(f"no whole answer from {who}; some bytes came")
        return UnreachableError(f"no answer from {who}")


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer"
        case ConnectionRefusedError():
            return "it refuses the connection"
        case _:
            return str(error.args[-1] if error.args else error)
