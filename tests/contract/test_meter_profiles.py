"""Each profile of a wired meter loads, plans and reads a simulated meter that is built from it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from drivers.catalogue import driver_of, load
from drivers.dlt645.profile import Dlt645Profile
from drivers.driver import Asked, Device
from rules.model.point import Point
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.contract.ground_cjt188 import Cjt188Ground
from tests.contract.ground_dlt645 import Dlt645Ground, low_first
from tests.contract.ground_mbus import MbusGround
from tests.contract.meter_ground import MeterGround
from tests.contract.test_mbus_driver import CYBLE, MULTICAL_601, ULTRAHEAT_T230

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def device(code: str, address: str) -> Device:
    profile = load(code)
    points = tuple(
        Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name) for m in profile.measures
    )
    return Device("M", address, profile, points)


async def read(ground: MeterGround, device: Device) -> tuple[tuple[str, ...], Mapping[str, Reading]]:
    await ground.start()
    driver = driver_of(ground.line, lambda: NOW)  # type: ignore[attr-defined]
    try:
        station = driver.station(device)
        return station.plan, {reading.point.removeprefix("M."): reading for reading in await station.read()}
    finally:
        await driver.close()
        await ground.stop()


async def test_a_three_phase_meter_is_read_in_seven_questions() -> None:
    meter = device("dlt645-2007-three-phase", "398192000337")
    assert isinstance(meter.profile, Dlt645Profile)
    blocks: dict[str, bytes] = {}
    expected: dict[str, float] = {}
    for number, measure in enumerate(meter.profile.measure, start=1):
        value = Decimal(-number if measure.signed else number).scaleb(-measure.decimals)
        octets = low_first(number, measure.width)
        octets[-1] |= 0x80 if measure.signed else 0
        blocks[measure.identifier] = blocks.get(measure.identifier, b"") + bytes(octets)
        expected[measure.name] = float(value)
    ground = Dlt645Ground()
    ground.address = meter.address
    ground.data = lambda label: blocks.get(label[::-1].hex().upper())  # type: ignore[method-assign]
    plan, readings = await read(ground, meter)
    assert len(plan) == 7
    assert {name: reading.value for name, reading in readings.items()} == expected
    assert {reading.quality for reading in readings.values()} == {Quality.GOOD}


async def test_a_water_meter_tells_its_volume_and_its_valve() -> None:
    ground = Cjt188Ground()
    body = bytes.fromhex("56 34 12 00 2C 78 56 34 00 2C 31 01 22 11 05 15 20 05 00")
    ground.answer = lambda question: _water(question, body)  # type: ignore[method-assign]
    plan, readings = await read(ground, device("cjt188-water", "78330011223344"))
    assert plan == ("901F",)
    told = {name: reading.value for name, reading in readings.items()}
    assert told == {"volume": 1234.56, "settlement_volume": 3456.78, "valve": 1.0, "battery_low": 1.0}


def _water(question: bytes, body: bytes) -> bytes:
    frame = question[:9] + bytes([0x81, 3 + len(body)]) + question[11:14] + body
    return frame + bytes([sum(frame) % 256, 0x16])


async def test_a_heat_meter_tells_all_its_fields() -> None:
    ground = Cjt188Ground()
    ground.show({"energy": 123.45, "power": 6.7, "setpoint": 31.5})
    ground.units["energy"] = 0x08
    _, readings = await read(ground, replace(device("cjt188-heat", "40314132")))
    assert readings["energy"].value == 123450.0
    assert readings["return_temp"].value == 31.5
    assert {reading.quality for reading in readings.values()} == {Quality.GOOD}


@pytest.mark.parametrize(
    ("code", "telegram", "expected"),
    [
        ("kamstrup-multical-601", MULTICAL_601,
         {"energy": 37351.0, "volume": 561.08, "power": 34.7, "flow": 0.543, "supply_temp": 101.69,
          "return_temp": 46.16, "hours": 985.0, "status": 0.0}),
        ("landis-gyr-ultraheat-t230", ULTRAHEAT_T230,
         {"energy": 0.0, "volume": 0.0, "power": 0.0, "flow": 0.0, "supply_temp": 19.5, "return_temp": 19.7,
          "hours": 3769.0, "status": 16.0}),
        ("itron-cyble-water", CYBLE, {"volume": 123.49, "settlement_volume": 0.0, "status": 48.0}),
    ],
)  # fmt: skip
async def test_a_published_telegram_is_read_through_its_profile(
    code: str, telegram: str, expected: dict[str, float]
) -> None:
    ground = MbusGround()
    data = bytes.fromhex(telegram)[7:-2]
    ground.frame = lambda information, _data: MbusGround.frame(ground, information, data)  # type: ignore[method-assign]
    _, readings = await read(ground, device(code, "5"))
    assert {name: reading.value for name, reading in readings.items()} == expected
    assert {reading.quality for reading in readings.values()} == {Quality.GOOD}
