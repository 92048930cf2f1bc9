"""What every driver must do, proven on Modbus against servers that misbehave."""

import asyncio
import os
import struct
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest
from pymodbus.constants import ExcCodes

from drivers.errors import MalformedError, MisconfiguredError, RefusedError, UnreachableError
from drivers.modbus.blocks import Request, Span
from drivers.modbus.line import HOLE_RETRY_S, ModbusDriver
from drivers.modbus.registers import Table
from rules.model.line import ModbusLine
from tests.contract.ground_modbus import ModbusGround
from tests.field import HOST, Meter, free_port, serving

BLOCK = Request(1, Table.HOLDING, (Span(0, 2), Span(2, 2), Span(4, 1), Span(10, 1)))
REGISTERS = {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 10: 6}


def driver_at(port: int, monotonic_s: Callable[[], float] = time.monotonic) -> ModbusDriver:
    line = ModbusLine(driver="modbus", code="L1", gateway="GW-1", host=HOST, port=port, poll_s=1, timeout_s=0.3)
    return ModbusDriver(line, lambda: datetime.now(UTC), monotonic_s=monotonic_s)


@asynccontextmanager
async def line(*meters: Meter) -> AsyncIterator[ModbusDriver]:
    port = free_port()
    async with serving(port, *meters):
        driver = driver_at(port)
        try:
            yield driver
        finally:
            await driver.close()


async def test_one_block_is_one_request_and_gives_every_span() -> None:
    meter = Meter(1, dict(REGISTERS))
    async with line(meter) as driver:
        answers = (await driver.ask(BLOCK)).raws
    assert [raw.words for raw in answers] == [(1, 2), (3, 4), (5,), (6,)]
    assert meter.asked == [(0, 11)]


async def test_a_busy_device_is_asked_once_more_later() -> None:
    meter = Meter(1, dict(REGISTERS), replies=[ExcCodes.DEVICE_BUSY])
    async with line(meter) as driver:
        assert (await driver.ask(BLOCK)).raws[0].words == (1, 2)
        meter.replies = [ExcCodes.DEVICE_BUSY, ExcCodes.DEVICE_BUSY]
        with pytest.raises(UnreachableError, match="busy"):
            await driver.ask(BLOCK)
        assert (await driver.ask(BLOCK)).raws[0].words == (1, 2)


async def test_a_hole_splits_the_block_and_is_remembered_then_asked_again() -> None:
    meter, now = Meter(1, dict(REGISTERS), holes={2, 3}), [0.0]
    port = free_port()
    async with serving(port, meter):
        driver = driver_at(port, lambda: now[0])
        answers = (await driver.ask(BLOCK)).raws
        assert [raw.words for raw in answers] == [(1, 2), None, (5,), (6,)]
        assert "no holding register 2" in answers[1].error
        meter.asked.clear()
        assert (await driver.ask(BLOCK)).raws == answers
        assert not any(start <= 2 < start + count for start, count in meter.asked)
        meter.holes.clear()
        now[0] += HOLE_RETRY_S + 1
        assert (await driver.ask(BLOCK)).raws[1].words == (3, 4)
        await driver.close()


async def test_a_dead_unit_costs_its_neighbour_one_time_out_and_no_more() -> None:
    live, dead = Meter(1, dict(REGISTERS)), Meter(2, silent=True)
    async with line(live, dead) as driver:
        assert (await driver.ask(BLOCK)).raws[0].words == (1, 2)
        started_s = time.monotonic()
        with pytest.raises(UnreachableError, match="no answer from address 2") as caught:
            await driver.ask(Request(2, Table.HOLDING, (Span(0, 1),)))
        assert not caught.value.link
        assert (await driver.ask(BLOCK)).raws[0].words == (1, 2)
        assert time.monotonic() - started_s < 0.8
        dead.silent = False
        assert (await driver.ask(Request(2, Table.HOLDING, (Span(0, 1),)))).raws[0].words == (0,)


@pytest.mark.parametrize(
    ("code", "error", "sentence"),
    [
        (ExcCodes.GATEWAY_NO_RESPONSE, UnreachableError, "exception 11"),
        (ExcCodes.GATEWAY_PATH_UNAVIABLE, UnreachableError, "exception 10"),
        (ExcCodes.ILLEGAL_FUNCTION, MisconfiguredError, "does not have holding registers"),
        (ExcCodes.MEMORY_PARITY_ERROR, RefusedError, "exception 8"),
    ],
)
async def test_exceptions_are_named_by_what_to_do(code: ExcCodes, error: type[Exception], sentence: str) -> None:
    async with line(Meter(1, replies=[code])) as driver:
        with pytest.raises(error, match=sentence):
            await driver.ask(BLOCK)


async def test_a_server_that_restarts_is_read_again_at_once() -> None:
    port, meter = free_port(), Meter(1, dict(REGISTERS))
    driver = driver_at(port)
    async with serving(port, meter):
        await driver.ask(BLOCK)
        await driver.ask(BLOCK)
    with pytest.raises(UnreachableError) as caught:
        await driver.ask(BLOCK)
    assert caught.value.link
    async with serving(port, meter):
        assert (await driver.ask(BLOCK)).raws[0].words == (1, 2)
        await driver.close()
        await driver.close()


async def test_many_askers_share_one_connection_in_turn() -> None:
    meter = Meter(1, dict(REGISTERS))
    async with line(meter) as driver:
        answers = await asyncio.gather(*(driver.ask(BLOCK) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)


@asynccontextmanager
async def raw_server(reply: Callable[[bytes], Awaitable[bytes]]) -> AsyncIterator[ModbusDriver]:
    """A server that answers each request with whatever bytes it likes."""

    done: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done.append(asyncio.current_task())  # type: ignore[arg-type]
        with suppress(ConnectionError):
            while data := await reader.read(300):
                writer.write(await reply(data))
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, HOST, 0)
    driver = driver_at(server.sockets[0].getsockname()[1])
    try:
        yield driver
    finally:
        await driver.close()
        await asyncio.gather(*done)
        server.close()
        await server.wait_closed()


def good(data: bytes, words: tuple[int, ...]) -> bytes:
    body = struct.pack(f">BBB{len(words)}H", data[6], data[7], 2 * len(words), *words)
    return data[:4] + struct.pack(">H", len(body)) + body


ONE = Request(1, Table.HOLDING, (Span(0, 1),))


async def test_half_a_frame_is_no_answer_and_does_not_poison_the_next() -> None:
    asked: list[bytes] = []

    async def reply(data: bytes) -> bytes:
        asked.append(data)
        return good(data, (7,))[:-1] if len(asked) == 1 else good(data, (8,))

    async with raw_server(reply) as driver:
        with pytest.raises(UnreachableError):
            await driver.ask(ONE)
        assert (await driver.ask(ONE)).raws[0].words == (8,)


async def test_too_few_registers_are_malformed_not_zero() -> None:
    async def reply(data: bytes) -> bytes:
        return good(data, (7,))

    async with raw_server(reply) as driver:
        with pytest.raises(MalformedError, match="sent 1 registers where 11 were asked"):
            await driver.ask(BLOCK)


async def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    asked: list[bytes] = []

    async def reply(data: bytes) -> bytes:
        asked.append(data)
        if len(asked) == 1:
            await asyncio.sleep(0.4)
        return good(data, (len(asked),))

    async with raw_server(reply) as driver:
        with pytest.raises(UnreachableError):
            await driver.ask(ONE)
        await asyncio.sleep(0.2)
        assert (await driver.ask(ONE)).raws[0].words == (2,)


async def test_noise_instead_of_modbus_is_an_error_with_a_sentence() -> None:
    async def reply(_data: bytes) -> bytes:
        return b"HTTP/1.1 400 Bad Request\r\n\r\n"

    async with raw_server(reply) as driver:
        with pytest.raises((UnreachableError, MalformedError), match="address 1"):
            await driver.ask(ONE)


async def test_a_serial_port_carries_the_same_frames() -> None:
    ground, (ours, theirs) = ModbusGround("rtu"), os.openpty()
    tty.setraw(theirs)
    ground.show({"energy": 12.34, "power": 5.6, "setpoint": 7.8})
    heard = b""

    def answer() -> None:
        nonlocal heard
        question, heard = ground.split(heard + os.read(ours, 300))
        if question is not None:
            os.write(ours, ground.answer(question))

    asyncio.get_running_loop().add_reader(ours, answer)
    wire = {"port": os.ttyname(theirs), "baud": 19200, "parity": "N"}
    line = ModbusLine(driver="modbus", code="L", gateway="G", serial=wire, poll_s=1, timeout_s=0.5)  # type: ignore[arg-type]
    driver = ModbusDriver(line, lambda: datetime.now(UTC))
    try:
        station = driver.station(ground.device)
        assert [reading.value for reading in await station.read()] == [12.34, 5.6, 7.8]
        assert (await station.write("setpoint", 250.0)).value == 250.0
        with pytest.raises(RefusedError, match="from 0 to 5000"):
            await station.write("setpoint", 5000.1)
    finally:
        await driver.close()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)


async def test_a_line_is_silent_before_each_request_when_its_converter_needs_that() -> None:
    ground = ModbusGround("rtu")
    await ground.start()
    driver = ModbusDriver(ground.line.model_copy(update={"delay_s": 0.05}), lambda: datetime.now(UTC))
    station, begun = driver.station(ground.device), time.monotonic()
    for _ in range(4):
        await station.read()
    assert time.monotonic() - begun >= 0.2
    await driver.close()
    await ground.stop()
