"""A device that speaks bytes over TCP: the part that all grounds of wired meters share.  Knows no driver's codec."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.field import HOST, free_port

TIMEOUT_S = 0.3
LATE_S = 0.5
TROUBLES = frozenset(Trouble)


class MeterGround:
    """Answers whole questions; a protocol says where one ends and what the answer is."""

    troubles = TROUBLES

    def __init__(self) -> None:
        self.port = free_port()
        self.values: dict[str, float] = {COUNTER: 0.0, GAUGE: 0.0, SETPOINT: 0.0}
        self.how: Trouble | None = None
        self.asked: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def split(self, data: bytes) -> tuple[bytes | None, bytes]:
        """Give the first whole question and what is left."""
        raise NotImplementedError

    def answer(self, question: bytes) -> bytes:
        """Give the right answer, b'' if the question is for another device."""
        raise NotImplementedError

    def refusal(self, question: bytes) -> bytes:
        """Give the protocol's own no."""
        raise NotImplementedError

    def garbled(self, good: bytes) -> bytes:
        """Give an answer that cannot be used."""
        return good[:-2] + bytes([good[-2] ^ 0x55]) + good[-1:] if len(good) > 1 else b"\x00\x55"

    def reset(self) -> None:
        """Forget what was learnt, as after a power cut."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def stop(self) -> None:
        self.reset()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        self._server = None

    def show(self, values: Mapping[str, float]) -> None:
        self.values.update(values)

    def held(self, measure: str) -> float:
        return self.values[measure]

    def trouble(self, how: Trouble | None) -> None:
        self.how = how

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        data = b""
        try:
            while more := await reader.read(500):
                question, data = self.split(data + more)
                while question is not None:
                    self.asked.append(question)
                    await self._reply(question, writer)
                    question, data = self.split(data)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _reply(self, question: bytes, writer: asyncio.StreamWriter) -> None:
        if not (good := self.answer(question)):
            return
        match self.how:
            case Trouble.SILENT:
                return
            case Trouble.REFUSING:
                writer.write(self.refusal(question))
            case Trouble.MALFORMED:
                writer.write(self.garbled(good))
            case Trouble.HALF:
                writer.write(good[: len(good) // 2])
            case Trouble.SLOW:
                await asyncio.sleep(LATE_S)
                writer.write(good)
            case Trouble.HUGE:
                while True:
                    writer.write(b"\x68" * 500)
                    await writer.drain()
                    await asyncio.sleep(0)
            case None:
                writer.write(good)
        await writer.drain()
