"""Scale registers, letters and nameplates of Modbus devices; profiles that cannot be."""

import logging
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from drivers.catalogue import driver_of, parse
from drivers.driver import Asked, Device, Named
from drivers.modbus.station import ModbusStation
from drivers.profile import InvalidProfileError
from rules.model.point import Point
from tests.contract.ground_modbus import FAULT, READ, UNIT, ModbusGround

HEAD = 'code = "scaled"\ntitle = "Scaled"\ntable = "holding"\n'
NAMEPLATE = """
[nameplate.model]
address = 40
words = 4
[nameplate.serial]
address = 50
words = 2
letters = false
[nameplate.firmware]
address = 60
words = 2
"""


def measure(name: str, address: int, encoding: str, more: str = "resolution = 0.01") -> str:
    head = f'[[measure]]\nname = "{name}"\nkind = "gauge"\nunit = ""\n'
    return f'{head}address = {address}\nencoding = "{encoding}"\n{more}\n'


SCALED = (
    HEAD
    + measure("current", 0, "uint16", "exponent = 1\nresolution = 0.01\nmissing = [0xFFFF]")
    + measure("power", 2, "int32", "exponent = 4\nresolution = 0.001\nscale = 0.001")
    + measure("voltage", 5, "uint16", "exponent = 4\nresolution = 0.1")
    + measure("plain", 6, "uint16", "scale = 0.1")
    + NAMEPLATE
)


class Holding(ModbusGround):
    """A device with holding registers that a test sets; what it does not have is exception 2."""

    def __init__(self, words: Mapping[int, int]) -> None:
        super().__init__("tcp")
        self.words = dict(words)
        self.asked: list[int] = []

    def answer(self, question: bytes) -> bytes:
        _, address, count = struct.unpack(">BHH", question[7:12])
        self.asked.append(address)
        if not all(place in self.words for place in range(address, address + count)):
            return self._framed(question, bytes([READ | FAULT, 2]))
        words = [self.words[place] & 0xFFFF for place in range(address, address + count)]
        return self._framed(question, bytes([READ, 2 * count]) + struct.pack(f">{count}H", *words))


REGISTERS = {0: 1234, 1: -2, 2: 0xFFFF, 3: 0xFF00, 4: 1, 5: 23, 6: 17}
PLATE = {40: 0x5044, 41: 0x3120, 42: 0, 43: 0x4141, 50: 0x0001, 51: 0x0002}  # "PD1 ", serial 65538, no firmware


@asynccontextmanager
async def station(ground: Holding, text: str = SCALED, serial: str = "") -> AsyncIterator[ModbusStation]:
    profile = parse(text, "scaled")
    points = tuple(Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step), m.name) for m in profile.measures)
    await ground.start()
    driver = driver_of(ground.line, lambda: datetime.now(UTC))
    try:
        made = driver.station(Device("M", str(UNIT), profile, points, serial=serial))
        assert isinstance(made, ModbusStation)
        yield made
    finally:
        await driver.close()
        await ground.stop()


async def read(made: ModbusStation) -> dict[str, tuple[float | None, str]]:
    return {reading.point[2:]: (reading.value, reading.error) for reading in await made.read()}


async def test_a_number_is_scaled_by_the_power_of_ten_that_stands_beside_it_in_one_request() -> None:
    ground = Holding(REGISTERS)
    async with station(ground) as made:
        assert made.plan == ("holding 0..6",)
        assert await read(made) == {
            "current": (12.34, ""),
            "power": (-2.56, ""),
            "voltage": (230.0, ""),
            "plain": (1.7, ""),
        }
        ground.words |= {1: 0x8000, 4: 11}
        told = await read(made)
    assert told["current"] == (None, "the device says 'not available' for its scale")
    assert told["power"][0] is told["voltage"][0] is None
    assert "10^11" in told["power"][1]
    assert told["plain"] == (1.7, "")


async def test_a_number_that_is_not_available_stays_so_whatever_its_scale() -> None:
    async with station(Holding({**REGISTERS, 0: 0xFFFF})) as made:
        value, error = (await read(made))["current"]
    assert value is None
    assert "not available" in error


async def test_a_device_says_what_it_is_once_a_connection() -> None:
    ground = Holding({**REGISTERS, **PLATE})
    async with station(ground) as made:
        assert isinstance(made, Named)
        assert await made.nameplate() == {"model": "PD1", "serial": "65538"}
        ground.asked.clear()
        assert await made.nameplate() == {"model": "PD1", "serial": "65538"}
        assert ground.asked == []
        await ground.stop()
        await ground.start()
        ground.words[51] = 3
        await made.read()
        assert (await made.nameplate())["serial"] == "65539"


async def test_another_meter_in_the_place_of_one_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    ground = Holding({**REGISTERS, **PLATE})
    async with station(ground, serial="65538") as made:
        with caplog.at_level(logging.WARNING):
            await made.read()
            assert not caplog.records
            await ground.stop()
            await ground.start()
            ground.words[51] = 9
            for _ in range(3):
                await made.read()
    (record,) = caplog.records
    assert "serial number is 65545, but the site file has 65538" in record.getMessage()


async def test_a_device_without_the_registers_of_its_plate_is_read_all_the_same() -> None:
    async with station(Holding(REGISTERS), serial="1") as made:
        assert (await read(made))["plain"] == (1.7, "")
        assert await made.nameplate() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (measure("a", 0, "uint32") + measure("b", 1, "uint16"), "measures 'a' and 'b' overlap at register 1"),
        (measure("a", 65535, "uint32"), "measure 'a' ends beyond register 65535"),
        (measure("a", 0, "uint16", "exponent = 3"), "'a' has an exponent and needs a resolution"),
        (measure("a", 0, "float32", "exponent = 3\nresolution = 1"), "only whole numbers"),
        (measure("a", 0, "uint32", "exponent = 1\nresolution = 1"), "exponent within its own registers"),
        (measure("a", 0, "uint16", "exponent = 3\nresolution = 1\nwritable = [0, 1]"), "cannot be writable"),
        (
            measure("a", 0, "uint16", "exponent = 3\nresolution = 1") + measure("b", 2, "uint32"),
            "the exponent of measure 'a' is register 3, which is within measure 'b'",
        ),
        (measure("a", 0, "uint16") + "[nameplate.serial]\naddress = 65535\nwords = 2", "ends beyond register 65535"),
        (measure("a", 0, "uint16") + "[nameplate.model]\naddress = 1\nwords = 5\nletters = false", "4 registers"),
        (measure("a", 0, "uint16") + "[nameplate.colour]\naddress = 1\nwords = 5", "nameplate.colour"),
        ("holes = [[0, 5]]\n" + measure("a", 5, "uint16"), "measure 'a' stands in the hole 0..5"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_is_refused_with_the_names_of_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(InvalidProfileError, match=said):
        parse(HEAD + text, "scaled")
