"""A line of meters behind a TCP converter: bytes in, bytes out, as a protocol's meters answer them.

What goes wrong with bytes goes wrong here, the same for every protocol: silence, delay, lost answers, wrong checksums,
half frames.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from rules.model.line import Cjt188Line, Dlt645Line, MbusLine
from simulators.faults import FaultKind
from simulators.served import HOST, PortTakenError, ServedDevice

CHUNK_BYTES = 500
QUESTION_BYTES_MAX = 2048


class WireMeter(Protocol):
    """One meter on a line of bytes."""

    served: ServedDevice

    def answer(self, question: bytes) -> bytes:
        """Answer a question; b'' when it is for another meter."""

    def refusal(self, question: bytes) -> bytes:
        """Give the protocol's own no."""


Split = Callable[[bytes], tuple[bytes | None, bytes]]


def spoilt(answer: bytes) -> bytes:
    """Give an answer whose checksum (the last byte but one) is wrong."""
    return answer[:-2] + bytes([answer[-2] ^ 0x55]) + answer[-1:] if len(answer) > 1 else b"\x00\x55"


class WireLine:
    """The converter: hands every whole question to each meter.  ``split`` finds a question in what has come."""

    def __init__(
        self, line: Dlt645Line | Cjt188Line | MbusLine, meters: Sequence[WireMeter], split: Split, seed: int = 1
    ) -> None:
        self._line = line
        self._meters = meters
        self._split = split
        self._chance = random.Random(f"{seed}/{line.code}")
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; raises PortTakenError."""
        try:
            self._server = await asyncio.start_server(self._talk, HOST, self._line.port or 0)
        except OSError:
            raise PortTakenError(
                f"port {self._line.port} of line '{self._line.code}' on {HOST} is taken; "
                "stop the program that listens there or change the port in the site file"
            ) from None

    async def close(self) -> None:
        """Stop listening and hang up."""
        if self._server is None:
            return
        self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        data = b""
        with suppress(ConnectionError, asyncio.CancelledError):
            while more := await reader.read(CHUNK_BYTES):
                question, data = self._split((data + more)[-QUESTION_BYTES_MAX:])
                while question is not None:
                    await self._reply(question, writer)
                    question, data = self._split(data)
        self._talks.discard(talk)
        writer.close()

    async def _reply(self, question: bytes, writer: asyncio.StreamWriter) -> None:
        for meter in self._meters:
            if not (answer := meter.answer(question)):
                continue
            faults = {injected.fault.kind: injected.fault for injected in meter.served.faults(meter.served.now())}
            if FaultKind.SILENT in faults or FaultKind.POWER_CUT in faults:
                continue
            if (lost := faults.get(FaultKind.DROP)) and self._chance.random() < lost.amount:
                continue
            if slow := faults.get(FaultKind.DELAY):
                await asyncio.sleep(slow.amount)
            if FaultKind.BUSY in faults:
                answer = meter.refusal(question)
            if FaultKind.WRONG_CHECKSUM in faults:
                answer = spoilt(answer)
            if FaultKind.HALF_FRAME in faults:
                answer = answer[: len(answer) // 2]
            writer.write(answer)
            await writer.drain()
