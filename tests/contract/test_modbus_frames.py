"""Gateways and hostile devices on a Modbus TCP line: what they send, and that nothing else suffers."""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.errors import DriverError, MalformedError, UnreachableError
from drivers.modbus.blocks import Request, Span
from drivers.modbus.line import ModbusDriver
from drivers.modbus.registers import Table
from rules.model.line import ModbusLine, address_fault
from tests.contract.ground_modbus import crc
from tests.field import HOST

TIMEOUT_S = 0.2
ONE = Request(1, Table.HOLDING, (Span(0, 1),))
GROWS_KB = 20_000

Answering = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def device(answer: Answering, **line: Any) -> AsyncIterator[ModbusDriver]:
    """A device that does with each question what the test says."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        try:
            with suppress(ConnectionError):
                while question := await reader.read(300):
                    await answer(question, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    made = ModbusLine(
        driver="modbus", code="L", gateway="G", host=HOST, port=port, poll_s=1, timeout_s=TIMEOUT_S, **line
    )
    driver = ModbusDriver(made, lambda: datetime.now(UTC))
    try:
        yield driver
    finally:
        await driver.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the aborted connections are closed in the next turn


def good(question: bytes, word: int = 7, *, number: bytes | None = None, unit: int = 1) -> bytes:
    return (number or question[:2]) + b"\0\0\0\5" + bytes([unit, 3, 2]) + word.to_bytes(2, "big")


async def says(driver: ModbusDriver) -> str:
    """Ask; gives the sentence of what went wrong, in bounded time."""
    begun = time.monotonic()
    with pytest.raises(DriverError) as caught:
        await driver.ask(ONE)
    assert time.monotonic() - begun < 10 * TIMEOUT_S
    return str(caught.value)


@pytest.mark.parametrize("number", [b"\0\0", b"\x12\x34"])
async def test_a_gateway_that_does_not_repeat_the_number_of_the_question_is_read_when_the_line_says_so(
    number: bytes,
) -> None:
    async def answer(question: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(good(question, number=number))

    async with device(answer, echoes=False) as driver:
        assert (await driver.ask(ONE)).words == (7,)
    async with device(answer) as driver:
        if number == b"\0\0":  # taken for "none": the commonest of such gateways
            assert (await driver.ask(ONE)).words == (7,)
        else:
            assert "echoes = false" in await says(driver)


async def test_a_line_that_answers_in_rtu_frames_is_told_what_to_write() -> None:
    async def answer(_question: bytes, writer: asyncio.StreamWriter) -> None:
        body = bytes([1, 3, 2, 0, 7])
        writer.write(body + crc(body))

    async with device(answer) as driver:
        with pytest.raises(MalformedError, match='answers with RTU frames; write framing = "rtu"'):
            await driver.ask(ONE)


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", os.urandom(200), b"\xff" * 100]
)
async def test_what_is_no_modbus_is_called_so(sent: bytes) -> None:
    async def answer(_question: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    async with device(answer) as driver:
        assert "is no Modbus" in await says(driver)


async def flood_of_others(question: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(good(question, unit=9) * 500)
        await writer.drain()


async def flood_of_noise(_question: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(os.urandom(4096))
        await writer.drain()


async def long_frame(question: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(question[:2] + b"\0\0\xff\xff" + bytes([1, 3, 0xFF]) + b"\0" * 60_000)
    await writer.drain()


async def count_that_lies(question: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(question[:2] + b"\0\0\0\5" + bytes([1, 3, 250, 0, 7]))


async def other_function(question: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(question[:2] + b"\0\0\0\5" + bytes([1, 0x63, 2, 0, 7]))


async def other_unit(question: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(good(question, unit=2))


async def drip(question: bytes, writer: asyncio.StreamWriter) -> None:
    for octet in good(question)[:-1]:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
@pytest.mark.parametrize(
    "how", [flood_of_others, flood_of_noise, long_frame, count_that_lies, other_function, other_unit, drip]
)
async def test_a_hostile_device_costs_bounded_time_and_memory_and_gives_nothing(how: Answering, framing: str) -> None:
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with device(how, framing=framing) as driver:
        for _ in range(3):
            assert "address 1" in await says(driver)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < GROWS_KB


async def test_a_device_whose_checksums_are_all_wrong_gives_nothing() -> None:
    async def answer(question: bytes, writer: asyncio.StreamWriter) -> None:
        body = bytes([question[0], 3, 2, 0, 7])
        writer.write(body + bytes([crc(body)[0] ^ 1, crc(body)[1]]))

    async with device(answer, framing="rtu") as driver:
        for _ in range(3):
            with pytest.raises((UnreachableError, MalformedError)):
                await driver.ask(ONE)


async def test_a_converter_that_needs_time_after_the_connection_gets_it() -> None:
    met: list[float] = []

    async def answer(question: bytes, writer: asyncio.StreamWriter) -> None:
        met.append(time.monotonic())
        writer.write(good(question))

    async with device(answer, connect_delay_s=0.15) as driver:
        begun = time.monotonic()
        await driver.ask(ONE)
        await driver.ask(ONE)
    assert met[0] - begun >= 0.15


@pytest.mark.parametrize("unit", [0, 255])
async def test_a_device_with_a_tcp_port_of_its_own_may_be_unit_0_or_255(unit: int) -> None:
    async def answer(question: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(good(question, unit=question[6]))

    async with device(answer) as driver:
        assert (await driver.ask(Request(unit, Table.HOLDING, (Span(0, 1),)))).words == (7,)
        line = driver._line
    assert address_fault(line, str(unit)) == ""
    assert "from 1 to 247" in address_fault(line.model_copy(update={"framing": "rtu"}), str(unit))
