"""What a device says of its units is compared with the profile at the first contact, and said once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from drivers.bacnet import units
from drivers.bacnet.answer import Said
from drivers.bacnet.line import BacnetDriver, BacnetStation
from drivers.catalogue import parse
from drivers.errors import MisconfiguredError
from rules.model import quantity
from rules.model.line import BacnetLine
from rules.model.quality import Quality
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.ground_bacnet import PROFILE, BacnetGround

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
WATTS, KELVIN, FAHRENHEIT = 47, 63, 64


@pytest.fixture
async def ground() -> AsyncIterator[BacnetGround]:
    made = BacnetGround()
    made.show(SHOWN)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def station(ground: BacnetGround) -> AsyncIterator[BacnetStation]:
    assert isinstance(ground.line, BacnetLine)
    driver = BacnetDriver(ground.line, lambda: datetime.now(UTC))
    yield driver.station(ground.device)
    await driver.close()


async def test_a_power_of_ten_is_put_right_and_said_once(
    station: BacnetStation, ground: BacnetGround, caplog: pytest.LogCaptureFixture
) -> None:
    ground.power.units = ground.setpoint.units = "watts"
    for _ in range(2):
        assert [reading.value for reading in await station.read()] == [4711.25, 0.0123, 0.0215]
    station._forget()  # as after a restart
    await station.read()
    said = [record.message for record in caplog.records if "M.power" in record.message]
    assert said == ["point M.power: the device gives W, which is turned into kW (0.001 each)"]
    assert (await station.write(SETPOINT, 2.5)).value == 2.5
    assert ground.held(SETPOINT) == 2500.0


async def test_a_unit_that_cannot_be_turned_puts_its_point_off_and_no_other(
    station: BacnetStation, ground: BacnetGround
) -> None:
    ground.power.units = "degrees-fahrenheit"
    ground.setpoint.units = "kilowatt-hours"
    energy, power, setpoint = await station.read()
    assert (energy.value, energy.quality) == (4711.25, Quality.GOOD)
    assert (power.value, power.quality) == (None, Quality.BAD)
    assert power.error == "the device gives °F, the profile says kW; set one of them right"
    with pytest.raises(MisconfiguredError, match="the device gives kWh"):
        await station.write(SETPOINT, 1.0)
    assert setpoint.value is None
    ground.power.units = "kilowatts"
    station._forget()
    assert (await station.read())[1].value == 12.3


async def test_a_device_without_units_is_believed(station: BacnetStation, ground: BacnetGround) -> None:
    ground.power.units = "no-units"
    ground.setpoint.units = 4711  # a maker's own
    assert [reading.value for reading in await station.read()] == [4711.25, 12.3, 21.5]


async def test_a_profile_that_scales_itself_is_held_to_its_scale(ground: BacnetGround) -> None:
    ground.power.units = "watts"
    ground.setpoint.units = "megawatts"
    text = PROFILE.replace("resolution = 0.1", "scale = 0.001").replace("resolution = 0.5", "scale = 0.001")
    device = replace(ground.device, profile=parse(text, "ground-bacnet"))
    assert isinstance(ground.line, BacnetLine)
    driver = BacnetDriver(ground.line, lambda: datetime.now(UTC))
    try:
        _, power, setpoint = await driver.station(device).read()
    finally:
        await driver.close()
    assert power.value == 0.0123
    assert "scale 0.001 does not make kW of it" in setpoint.error


@pytest.mark.parametrize(
    ("code", "unit", "scale", "factor", "remark"),
    [
        (62, "°C", 1, "1", ""),
        (62, "degC", 1, "1", ""),
        (62, "K", 1, "0", "the device gives °C, the profile says K"),
        (KELVIN, "°C", 1, "0", "the device gives K"),
        (FAHRENHEIT, "°C", 1, "0", "the device gives °F"),
        (WATTS, "kW", 1, "0.001", "turned into kW"),
        (WATTS, "kW", "0.001", "1", ""),
        (48, "kW", "0.01", "1", ""),
        (54, "bar", 1, "0.01", "turned into bar"),
        (87, "m³/h", 1, "0", "the device gives L/s"),
        (98, "%", 1, "1", ""),
        (29, "%", 1, "1", ""),
        (95, "kW", 1, "1", ""),
        (9999, "kW", 1, "1", ""),
        (None, "kW", 1, "1", ""),
        (62, "furlong", 1, "1", ""),
        (62, "", 1, "1", ""),
    ],
)
def test_a_unit_is_believed_turned_or_refused(
    code: int | None, unit: str, scale: str | int, factor: str, remark: str
) -> None:
    found, said = units.judged(Said(code), unit, Decimal(scale))
    assert found == Decimal(factor)
    assert remark in said
    assert bool(remark) == bool(said)


def test_units_that_can_be_drafted_are_units_of_the_platform() -> None:
    known, strange = [], []
    for code in units._CODES:
        text = units.text(code)
        assert text is not None
        assert text == "" or units.code_of(text) is not None
        try:
            quantity.compatible(text, text)
            known.append(text)
        except quantity.UnknownUnitError:
            strange.append(text)
    assert {"°C", "K", "°F", "kWh", "kW", "Pa", "%", "m³/h", "L/s", "ppm", "V", "A", "Hz", "h"} <= set(known)
    assert len(strange) <= 8, strange
