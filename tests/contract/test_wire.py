"""The line of bytes that wired meters share: silence, order, bounds and connections that lie."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from drivers.errors import MalformedError, UnreachableError
from drivers.octets import Found, Miss, Taken, seek
from drivers.wire import BUFFER_BYTES_MAX, SILENCES_MAX, Question, Wire
from rules.model.line import Dlt645Line
from tests.field import HOST

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def take(buffer: bytes) -> Taken[bytes]:
    """Frames of three bytes: < x >."""

    def parse(data: bytes) -> Found[bytes] | Miss:
        if len(data) < 3:
            return Miss.PART
        return Found(data[1:2], 3) if data[2:3] == b">" else Miss.SPOILT

    return seek(buffer, ord("<"), parse)


def question(letter: bytes = b"a", who: str = "meter 1") -> Question[bytes]:
    return Question(who, b"<" + letter + b">", take, lambda frame: frame == letter)


async def ask(wire: Wire, asked: Question[bytes]) -> bytes:
    async with wire.queue:
        return await wire.ask(asked)


@asynccontextmanager
async def wire_to(act: Act, **more: float) -> AsyncIterator[Wire]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await act(reader, writer)
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    told = {"driver": "dlt645", "code": "L", "gateway": "G", "poll_s": 1, "timeout_s": 0.2, **more}
    wire = Wire(Dlt645Line.model_validate({**told, "host": HOST, "port": port}))
    try:
        yield wire
    finally:
        await wire.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()


async def test_an_answer_is_found_behind_noise_and_in_pieces() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            for piece in (b"\x00\xff<b>", b"<", b"a", b">"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)

    async with wire_to(act) as wire:
        assert await ask(wire, question()) == b"a"


async def test_the_line_is_silent_before_each_question() -> None:
    async with wire_to(echo, delay_s=0.1) as wire:
        begun = time.monotonic()
        assert await asyncio.gather(*(ask(wire, question(letter)) for letter in (b"a", b"b", b"c"))) == [
            b"a",
            b"b",
            b"c",
        ]
        assert time.monotonic() - begun >= 0.3


async def test_what_came_unasked_is_dropped() -> None:
    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        while await reader.read(100):
            number += 1
            writer.write(b"<a><a><a>" if number == 1 else b"<x>")

    async with wire_to(act) as wire:
        assert await ask(wire, question()) == b"a"
        with pytest.raises(UnreachableError, match="other answers came"):
            await ask(wire, question())


async def test_who_never_stops_sending_is_cut_off_within_bounds() -> None:
    sent = 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.read(100)
        while True:
            writer.write(b"\x00" * 1000)
            sent += 1000
            await writer.drain()
            await asyncio.sleep(0.001)

    async with wire_to(act) as wire:
        begun = time.monotonic()
        with pytest.raises(MalformedError, match=f"more than {BUFFER_BYTES_MAX} bytes"):
            await ask(wire, question())
        assert time.monotonic() - begun < 0.2
        assert sent < 100_000


async def test_a_line_that_never_falls_silent_is_lost_as_a_whole() -> None:
    async def act(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"\x00")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with wire_to(act) as wire:
        with pytest.raises(UnreachableError, match="some bytes came"):
            await ask(wire, question())
        with pytest.raises(UnreachableError, match="never falls silent") as caught:
            await ask(wire, question())
        assert caught.value.link


async def test_a_connection_that_says_nothing_for_long_is_made_anew() -> None:
    connections = 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:  # half open: takes everything and answers nothing
            while await reader.read(100):
                pass
        await echo(reader, writer)

    async with wire_to(act) as wire:
        for _ in range(SILENCES_MAX):
            with pytest.raises(UnreachableError) as caught:
                await ask(wire, question())
            assert not caught.value.link
        assert await ask(wire, question()) == b"a"
        assert connections == 2


async def test_who_used_to_answer_is_asked_once_more_and_who_never_did_is_not() -> None:
    heard = 0

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        while await reader.read(100):
            heard += 1
            writer.write(b"<a>" if heard != 2 else b"<a?")

    async with wire_to(act) as wire:
        assert await ask(wire, question()) == b"a"
        assert await ask(wire, question()) == b"a"
        assert heard == 3
        with pytest.raises(UnreachableError):
            await ask(wire, question(b"z", "meter 2"))
        assert heard == 4


async def test_an_end_that_hangs_up_is_the_whole_line() -> None:
    async def act(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with wire_to(act) as wire:
        with pytest.raises(UnreachableError, match="closed the connection") as caught:
            await ask(wire, question())
        assert caught.value.link
