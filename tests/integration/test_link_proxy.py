"""The link proxy: whole, slow, cut and half-open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from simulators.link import Link
from simulators.served import PortTakenError

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def say(ends: Ends, word: bytes, timeout_s: float = 5) -> bytes:
    ends[1].write(word)
    return await asyncio.wait_for(ends[0].readline(), timeout_s)


async def test_bytes_pass_and_a_delay_holds_them_back(echo_port: int):
    async with Link(echo_port) as link:
        ends = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(ends, b"hello\n") == b"hello\n"
        link.delay_ms = 60
        started = asyncio.get_running_loop().time()
        assert await say(ends, b"slow\n") == b"slow\n"
        assert asyncio.get_running_loop().time() - started >= 0.11
        ends[1].close()


async def test_a_cut_tears_connections_down_until_the_link_is_restored(echo_port: int):
    async with Link(echo_port) as link:
        before = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(before, b"one\n") == b"one\n"
        link.cut()
        with contextlib.suppress(ConnectionError):
            assert await say(before, b"two\n") == b""
        during = await asyncio.open_connection("127.0.0.1", link.port)
        with contextlib.suppress(ConnectionError):
            assert await say(during, b"three\n") == b""
        link.restore()
        after = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(after, b"four\n") == b"four\n"
        for ends in (before, during, after):
            ends[1].close()


async def test_a_half_open_link_accepts_and_says_nothing(echo_port: int):
    async with Link(echo_port) as link:
        old = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(old, b"one\n") == b"one\n"
        link.swallow()
        new = await asyncio.open_connection("127.0.0.1", link.port)
        for ends in (old, new):
            with pytest.raises(TimeoutError):
                await say(ends, b"lost\n", timeout_s=0.1)
        link.restore()
        for ends in (old, new):  # they have lost bytes, so they are not patched up
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(ends[0].readline(), 5) == b""
        again = await asyncio.open_connection("127.0.0.1", link.port)
        assert await say(again, b"two\n") == b"two\n"
        for ends in (old, new, again):
            ends[1].close()


async def test_a_link_to_nowhere_closes_what_it_accepts(echo_port: int):
    async with Link(1) as link:
        ends = await asyncio.open_connection("127.0.0.1", link.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(ends[0].read(), 5) == b""
        ends[1].close()


async def test_a_share_of_what_is_sent_vanishes(echo_port: int):
    async with Link(echo_port, loss=0.5, seed=3) as link:
        ends = await asyncio.open_connection("127.0.0.1", link.port)
        came = 0
        for _ in range(20):
            with contextlib.suppress(TimeoutError):
                await say(ends, b"x\n", 0.05)
                came += 1
        assert 0 < came < 20
        ends[1].close()


async def test_a_taken_port_is_said_in_one_sentence(echo_port: int):
    async with Link(echo_port) as link:
        with pytest.raises(PortTakenError, match="is taken"):
            await Link(echo_port, listen_port=link.port).__aenter__()
