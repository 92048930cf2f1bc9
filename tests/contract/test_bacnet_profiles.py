"""Every shipped BACnet profile loads, plans its lists and reads right from a controller built from it."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from bacpypes3.app import Application
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.local.analog import AnalogInputObject, AnalogOutputObject, AnalogValueObjectCmd
from bacpypes3.local.binary import BinaryInputObject, BinaryOutputObject, BinaryValueObject
from bacpypes3.local.cmd import Commandable
from bacpypes3.local.multistate import MultiStateInputObject, MultiStateOutputObject, MultiStateValueObject

from drivers.bacnet import units
from drivers.bacnet.profile import WITH_UNITS, BacnetMeasure, BacnetProfile
from drivers.catalogue import driver_of, load, names
from drivers.driver import Asked, Device, Releasing
from rules.model.line import BacnetLine
from rules.model.point import Point
from rules.model.quality import Quality
from tests.contract.ground_bacnet import Accumulator, free_udp_port
from tests.field import HOST

PROFILES = [name for name in names() if isinstance(load(name), BacnetProfile)]
INSTANCE = 77


class MultiStateValue(Commandable, MultiStateValueObject):  # type: ignore[misc]  # the library has no types
    """The library ships none that can be commanded."""


OBJECTS = {
    "analog-input": AnalogInputObject, "analog-output": AnalogOutputObject, "analog-value": AnalogValueObjectCmd,
    "binary-input": BinaryInputObject, "binary-output": BinaryOutputObject, "binary-value": BinaryValueObject,
    "multi-state-input": MultiStateInputObject, "multi-state-output": MultiStateOutputObject,
    "multi-state-value": MultiStateValue, "accumulator": Accumulator,
}  # fmt: skip


def built(measure: BacnetMeasure, value: float) -> Any:
    """Give the object of a measure as a controller has it."""
    more: dict[str, Any] = {}
    if measure.type in WITH_UNITS:
        code = units.code_of(measure.unit)
        assert code is not None, f"{measure.unit} is no unit of BACnet"
        more["units"] = code
    if measure.type.startswith("analog-"):
        more["covIncrement"] = 0.1
    if measure.type.startswith("multi-state-"):
        more["numberOfStates"] = 9
    if measure.type.startswith("binary-"):
        value = "active" if value else "inactive"  # type: ignore[assignment]
    return OBJECTS[measure.type](
        objectIdentifier=measure.object, objectName=measure.name, statusFlags=[0, 0, 0, 0], eventState="normal",
        outOfService=False, presentValue=value, **more,
    )  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
async def test_a_profile_reads_every_measure_from_a_controller_built_from_it(name: str) -> None:
    logging.getLogger("bacpypes3").setLevel(logging.CRITICAL)
    profile = load(name)
    assert isinstance(profile, BacnetProfile)
    values = {m.name: 1 + n % 3 if m.whole else 10 + n / 2 for n, m in enumerate(profile.measure)}
    values |= {m.name: 1 for m in profile.measure if m.type.startswith("binary-")}
    port, own = free_udp_port(), free_udp_port()
    words = ["--address", f"{HOST}:{port}", "--instance", str(INSTANCE), "--name", "controller"]
    app = Application.from_args(SimpleArgumentParser().parse_args(words))
    for measure in profile.measure:
        app.add_object(built(measure, values[measure.name]))
    await asyncio.gather(*next(iter(app.link_layers.values())).server._transport_tasks)
    points = tuple(
        Asked(Point(f"M.{m.name}", "M", m.name, m.kind, m.unit, m.step, m.modulus), m.name) for m in profile.measure
    )
    line = BacnetLine(driver="bacnet", code="L", gateway="G", interface=f"{HOST}:{own}", poll_s=1, timeout_s=1)
    driver = driver_of(line, lambda: datetime.now(UTC))
    try:
        station = driver.station(Device("M", f"{INSTANCE}@{HOST}:{port}", profile, points))
        assert len(station.plan) <= 1 + len(points) // profile.max_rpm
        readings = await station.read()
        for measure in profile.measure:
            if measure.writable is not None:
                assert (await station.write(measure.name, float(measure.writable[1]))).value == measure.writable[1]
                assert isinstance(station, Releasing)
                assert (await station.release(measure.name)).value == values[measure.name]
    finally:
        await driver.close()
        app.close()
        await asyncio.sleep(0)
    expected = {m.name: float(values[m.name] * m.scale) if m.scale != 1 else values[m.name] for m in profile.measure}
    assert {reading.point.removeprefix("M."): reading.value for reading in readings} == expected
    assert {reading.quality for reading in readings} == {Quality.GOOD}


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_where_it_comes_from_and_on_what_it_was_tried(name: str) -> None:
    profile = load(name)
    assert profile.source
    assert profile.tried in ("simulator", "device")


def test_there_are_boxes_and_air_handlers_in_common_use() -> None:
    assert len(PROFILES) >= 4
