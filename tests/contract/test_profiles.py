"""Every shipped Modbus profile loads, plans its reads and reads right from a device built from it."""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from drivers.catalogue import driver_of, load, names
from drivers.driver import Asked, Device
from drivers.modbus.profile import ModbusMeasure, ModbusProfile
from rules.model.point import Point
from rules.model.quality import Quality
from tests.contract.ground_modbus import FAULT, READ, UNIT, ModbusGround

PROFILES = [name for name in names() if isinstance(load(name), ModbusProfile)]
FORMATS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q",
           "float32": ">f", "float64": ">d", "bits": ">H"}  # fmt: skip
INPUT = 4


def words_of(measure: ModbusMeasure, number: int, order: str) -> list[int]:
    """Give the registers that hold ``number``, as a device with this order keeps them."""
    octets = struct.pack(FORMATS[measure.encoding.value], number)
    pairs = [octets[i : i + 2] for i in range(0, len(octets), 2)]
    if order in ("CDAB", "DCBA"):
        pairs.reverse()
    return [int.from_bytes(pair, "little" if order in ("BADC", "DCBA") else "big") for pair in pairs]


class Model(ModbusGround):
    """A device that has the registers of a map and no others."""

    def __init__(self, function: int, registers: Mapping[int, int]) -> None:
        super().__init__("tcp")
        self.function = function
        self.registers = registers

    def answer(self, question: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", question[7:12])
        wanted = range(address, address + count)
        if function != self.function or not all(place in self.registers for place in wanted):
            return self._framed(question, bytes([function | FAULT, 2]))
        words = [self.registers[place] for place in wanted]
        return self._framed(question, bytes([function, 2 * count]) + struct.pack(f">{count}H", *words))


@pytest.mark.parametrize("name", PROFILES)
async def test_a_profile_reads_every_measure_from_a_device_built_from_it(name: str) -> None:
    profile = load(name)
    assert isinstance(profile, ModbusProfile)
    numbers = {
        measure.name: 1 if measure.encoding == "bits" else 3 + 2 * n for n, measure in enumerate(profile.measure)
    }
    registers = dict.fromkeys(range(0x10000), 0)
    for first, last in profile.holes:
        for place in range(first, last + 1):
            del registers[place]
    for measure in profile.measure:
        for n, word in enumerate(words_of(measure, numbers[measure.name], profile.order.value)):
            registers[measure.address + n] |= word
    model = Model(READ if profile.table == "holding" else INPUT, registers)
    points = tuple(
        Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name) for m in profile.measure
    )
    await model.start()
    driver = driver_of(model.line, lambda: datetime.now(UTC))
    try:
        readings = await driver.station(Device("M", str(UNIT), profile, points)).read()
    finally:
        await driver.close()
        await model.stop()
    assert {reading.quality for reading in readings} == {Quality.GOOD}
    for reading, measure in zip(readings, profile.measure, strict=True):
        if measure.encoding != "bits":
            assert reading.value == float(numbers[measure.name] * measure.scale), measure.name


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_where_it_comes_from_and_what_it_was_tried_on(name: str) -> None:
    profile = load(name)
    assert profile.source or name.startswith("rs-")  # the simulated park's own models: simulators/datasheets.md
    assert profile.tried in ("simulator", "device")


def test_there_are_models_in_common_use() -> None:
    assert len([name for name in names() if load(name).source]) >= 9
