"""Looking round on Modbus lines: who answers, what it says that it is, which profile fits."""

import struct
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from pymodbus import ModbusDeviceIdentification
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from deploy.commands import edge_scan_modbus
from deploy.commands.scan_draft import ScanError
from drivers.catalogue import load, names
from drivers.errors import UnreachableError
from drivers.modbus import scan
from drivers.modbus.profile import ModbusProfile
from rules.model.line import ModbusLine
from tests.field import HOST, free_port

SCHNEIDER, EASTRON = "schneider-pm5110", "eastron-sdm630"
FORMATS = {"int64": ">q", "float32": ">f"}
LIVE = {"V": 231.5, "A": 12.5, "Hz": 50.02, "kW": 8.25, "kWh": 123456.0, "": 0.97}


def profiles() -> list[ModbusProfile]:
    return [profile for name in names() if isinstance(profile := load(name), ModbusProfile)]


def registers(name: str) -> dict[int, int]:
    """Registers of a model that runs on a live installation."""
    profile = load(name)
    assert isinstance(profile, ModbusProfile)
    held: dict[int, int] = {}
    for measure in profile.measure:
        number = LIVE[measure.unit] / float(measure.scale)
        octets = struct.pack(FORMATS[measure.encoding], round(number) if "int" in measure.encoding else number)
        words = struct.unpack(f">{len(octets) // 2}H", octets)
        held.update({measure.address + place: word for place, word in enumerate(words)})
    return held


def device(unit: int, held: Mapping[int, int], function: int) -> SimDevice:
    """A unit with these registers and no others around them."""

    async def act(asked: int, start: int, address: int, count: int, words: list[int], _new: object) -> ExcCodes | None:
        if asked != function or any(place not in held for place in (address, address + count - 1)):
            return ExcCodes.ILLEGAL_ADDRESS
        for place in range(address, address + count):
            words[place - start] = held.get(place, 0)
        return None

    space = SimData(0, count=65536, values=0, datatype=DataType.REGISTERS)
    return SimDevice(id=unit, simdata=[space], action=act)


async def nobody(*_: object) -> ExcCodes:
    return ExcCodes.GATEWAY_NO_RESPONSE


@asynccontextmanager
async def line() -> AsyncIterator[ModbusLine]:
    port = free_port()
    rest = SimDevice(id=0, simdata=[SimData(0, count=65536, datatype=DataType.REGISTERS)], action=nobody)
    identity = ModbusDeviceIdentification(info_name={"VendorName": "Maker", "ProductCode": "METSEPM5110"})
    units = [device(3, registers(SCHNEIDER), 3), device(9, registers(EASTRON), 4), rest]
    server = ModbusTcpServer(units, address=(HOST, port), identity=identity)
    await server.serve_forever(background=True)
    try:
        yield ModbusLine(driver="modbus", code="L-1", gateway="GW-1", host=HOST, port=port, poll_s=1, timeout_s=0.5)
    finally:
        await server.shutdown()


def now() -> datetime:
    return datetime.now(UTC)


async def test_units_that_answer_are_found_with_what_they_are_and_which_profiles_fit() -> None:
    async with line() as there:
        found = [one async for one in scan.scan(there, range(1, 13), profiles(), now)]
    assert [one.unit for one in found] == [3, 9]
    first, second = found
    assert first.identity["model"] == "METSEPM5110"
    assert first.likely[0].profile.code == SCHNEIDER  # its neighbours of the same map fit too; it names itself
    assert EASTRON in [likely.profile.code for likely in second.likely]


async def test_the_draft_is_a_site_file_that_names_line_and_devices(capsys: pytest.CaptureFixture[str]) -> None:
    async with line() as there:
        found = await edge_scan_modbus._found(there, range(1, 10), profiles())
    written = tomllib.loads(edge_scan_modbus.HEAD + edge_scan_modbus._draft(there, found))
    assert written["line"][0]["port"] == there.port
    first = written["device"][0]
    assert (first["address"], first["profile"]) == (3, SCHNEIDER)
    assert "address 3: maker Maker, model METSEPM5110; fits: schneider-pm5110" in capsys.readouterr().err


async def test_a_line_that_is_dead_says_so_at_once() -> None:
    there = ModbusLine(
        driver="modbus", code="L-1", gateway="GW-1", host=HOST, port=free_port(), poll_s=1, timeout_s=0.2
    )
    with pytest.raises(UnreachableError, match="refused the connection"):
        [one async for one in scan.scan(there, range(1, 200), profiles(), now)]


@pytest.mark.parametrize("units", ["", "a", "1-", "300", "5-2", "-3"])
def test_addresses_that_are_none_are_told_so(units: str) -> None:
    with pytest.raises(ScanError, match="names no addresses"):
        edge_scan_modbus.numbers(units)


def test_addresses_and_lines_are_read_as_people_write_them() -> None:
    assert edge_scan_modbus.numbers("1-3,9,2") == [1, 2, 3, 9]
    serial = edge_scan_modbus._line("/dev/ttyUSB0", 19200, "N", 0.5, rtu=False)
    assert serial.rtu
    assert serial.place == "/dev/ttyUSB0"
    assert edge_scan_modbus._line("10.0.0.7", 9600, "E", 0.5, rtu=True).place == "10.0.0.7:502"
    with pytest.raises(ScanError, match="is no line"):
        edge_scan_modbus._line("10.0.0.7:many", 9600, "E", 0.5, rtu=False)
