"""All four tables of Modbus, each measure with its own table and order, against a pymodbus server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.catalogue import driver_of, parse
from drivers.driver import Asked, Device, Station
from drivers.errors import MisconfiguredError, RefusedError
from drivers.profile import InvalidProfileError
from rules.model.line import ModbusLine
from rules.model.point import Point
from rules.model.quality import Quality
from tests.field import HOST, free_port

HEAD = 'code = "four"\ntitle = "Four tables"\ntable = "holding"\n'
UNIT = 3


def measure(name: str, address: int, encoding: str, more: str = "") -> str:
    head = f'[[measure]]\nname = "{name}"\nkind = "gauge"\nunit = ""\n'
    return f'{head}address = {address}\nencoding = "{encoding}"\n{more}\n'


FOUR = (
    HEAD
    + measure("level", 0, "uint16", "writable = [0, 100]")
    + measure("swapped", 1, "uint32", 'order = "CDAB"')
    + measure("digits", 3, "bcd32")
    + measure("no_digits", 5, "bcd16")
    + measure("clipped", 6, "uint16", "writable = [0, 100]")
    + measure("other", 0, "int16", 'table = "input"')
    + measure("pump", 0, "bits", 'table = "coil"\nwritable = [0, 1]')
    + measure("valve", 9, "bits", 'table = "coil"')
    + measure("door", 2, "bits", 'table = "discrete"')
)


async def keeps_clipped(
    _function: int, start: int, address: int, _count: int, registers: list[int], new: object
) -> ExcCodes | None:
    """A device that takes every value for register 6 and holds 50."""
    if new and address == 6:
        registers[6 - start] = 50
        new[:] = [50]  # type: ignore[index]
    return None


@asynccontextmanager
async def station() -> AsyncIterator[Station]:
    port, bits, words = free_port(), DataType.BITS, DataType.REGISTERS
    tables = (
        [SimData(0, values=[True] + [False] * 8 + [True] + [False] * 6, datatype=bits)],
        [SimData(0, values=[False, False, True] + [False] * 13, datatype=bits)],
        [SimData(0, values=[42, 0x0002, 0x0001, 0x1234, 0x5678, 0x12AB, 50, 0], datatype=words)],
        [SimData(0, values=[0xFFF6, 0], datatype=words)],
    )
    server = ModbusTcpServer([SimDevice(id=UNIT, simdata=tables, action=keeps_clipped)], address=(HOST, port))
    await server.serve_forever(background=True)
    profile = parse(FOUR, "four")
    points = tuple(Asked(Point(f"D.{m.name}", "D", m.name, m.kind, m.unit, m.step), m.name) for m in profile.measures)
    line = ModbusLine(driver="modbus", code="L", gateway="G", host=HOST, port=port, poll_s=1, timeout_s=0.5)
    driver = driver_of(line, lambda: datetime.now(UTC))
    try:
        yield driver.station(Device("D", str(UNIT), profile, points))
    finally:
        await driver.close()
        await server.shutdown()


async def test_every_table_is_read_with_each_measures_own_order() -> None:
    async with station() as device:
        readings = {reading.point[2:]: reading for reading in await device.read()}
    assert {name: reading.value for name, reading in readings.items()} == {
        "level": 42, "swapped": 0x10002, "digits": 12345678, "no_digits": None, "clipped": 50, "other": -10,
        "pump": 1, "valve": 1, "door": 1,
    }  # fmt: skip
    assert readings["no_digits"].quality is Quality.BAD
    assert "no decimal number" in readings["no_digits"].error


async def test_a_coil_and_a_register_are_set_and_read_back() -> None:
    async with station() as device:
        assert (await device.write("pump", 0)).value == 0
        assert (await device.write("level", 7)).value == 7
        with pytest.raises(RefusedError, match="0 or 1"):
            await device.write("pump", 0.4)
        with pytest.raises(MisconfiguredError):
            await device.write("valve", 1)
        values = {reading.point[2:]: reading.value for reading in await device.read()}
    assert (values["pump"], values["level"], values["valve"]) == (0, 7, 1)


async def test_a_device_that_keeps_another_value_than_the_one_set_is_told_of() -> None:
    async with station() as device:
        with pytest.raises(RefusedError, match="was set to 80, but the device holds 50"):
            await device.write("clipped", 80)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (measure("a", 0, "uint16", 'table = "input"\nwritable = [0, 1]'), "only holding registers and coils"),
        (measure("a", 0, "uint16", 'table = "coil"'), "one bit"),
        (measure("a", 0, "bits", 'table = "discrete"\nbit = 1'), "one bit"),
    ],
)
def test_an_impossible_table_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidProfileError, match=said):
        parse(HEAD + text, "four")


def test_the_same_address_in_two_tables_is_no_overlap() -> None:
    both = parse(HEAD + measure("a", 0, "uint16") + measure("b", 0, "uint16", 'table = "input"'), "four")
    assert [m.name for m in both.measures] == ["a", "b"]
