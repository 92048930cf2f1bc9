"""What is BACnet's own: lists that shrink, devices without lists, status flags, priorities, foreign devices."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from bacpypes3.basetypes import EventState, Reliability
from bacpypes3.primitivedata import Null, Real

from drivers.bacnet.answer import Said
from drivers.bacnet.line import BacnetDriver, BacnetStation, judged
from drivers.bacnet.lists import RPM_RETRY_S
from drivers.catalogue import parse
from drivers.errors import MisconfiguredError, RefusedError, UnreachableError
from drivers.number import Scale
from drivers.profile import InvalidProfileError
from rules.model.line import BacnetLine
from rules.model.quality import Quality
from tests.contract.ground import COUNTER, GAUGE, SETPOINT
from tests.contract.ground_bacnet import INSTANCE, PROFILE, BacnetGround, free_udp_port
from tests.field import HOST

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def ground() -> AsyncIterator[BacnetGround]:
    made = BacnetGround()
    made.show(SHOWN)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def driver(ground: BacnetGround, clock: Clock) -> AsyncIterator[BacnetDriver]:
    assert isinstance(ground.line, BacnetLine)
    opened = BacnetDriver(ground.line, lambda: datetime.now(UTC), monotonic_s=clock)
    yield opened
    await opened.close()


@pytest.fixture
def station(driver: BacnetDriver, ground: BacnetGround) -> BacnetStation:
    return driver.station(ground.device)


async def shown(station: BacnetStation) -> list[float | None]:
    return [reading.value for reading in await station.read()]


async def test_one_list_reads_all_points(station: BacnetStation, ground: BacnetGround) -> None:
    assert await shown(station) == [4711.25, 12.3, 21.5]
    assert ground.app.lists == [3]


async def test_a_list_whose_answer_does_not_fit_is_halved_and_that_is_remembered(
    station: BacnetStation, ground: BacnetGround
) -> None:
    ground.app.rpm_max = 2
    assert await shown(station) == [4711.25, 12.3, 21.5]
    assert ground.app.first_lists == [3, 2, 1]
    assert await shown(station) == [4711.25, 12.3, 21.5]
    assert ground.app.lists == [2, 1, 2, 1]
    assert len(station.plan) == 2


async def test_a_device_without_lists_is_read_singly_and_asked_for_lists_again_much_later(
    station: BacnetStation, ground: BacnetGround, clock: Clock
) -> None:
    ground.app.rpm_max = 0
    assert await shown(station) == [4711.25, 12.3, 21.5]
    assert await shown(station) == [4711.25, 12.3, 21.5]
    assert ground.app.lists == []  # the question after the units has shown it
    ground.app.rpm_max = 100
    clock.seconds = RPM_RETRY_S
    assert await shown(station) == [4711.25, 12.3, 21.5]
    assert ground.app.lists == [3]


@pytest.mark.parametrize(
    ("named", "state", "value", "quality"),
    [
        ("eventState", EventState.highLimit, 12.3, Quality.GOOD),
        ("reliability", Reliability.noSensor, None, Quality.BAD),
        ("outOfService", True, 12.3, Quality.UNCERTAIN),
    ],
)
@pytest.mark.parametrize("lists", [100, 0])
async def test_status_flags_become_quality(
    station: BacnetStation, ground: BacnetGround, named: str, state: Any, value: float, quality: Quality, lists: int
) -> None:
    ground.app.rpm_max = lists
    setattr(ground.power, named, state)
    energy, power, _ = await station.read()
    assert (power.value, power.quality) == (value, quality)
    assert bool(power.error) == (quality is not Quality.GOOD)
    assert energy.quality is Quality.GOOD


def test_what_a_hand_holds_is_uncertain() -> None:
    ground = BacnetGround()
    flags = Said(None, "", (False, False, True, False))
    reading = judged(ground.device.points[1], Scale(Decimal(1)), Said(12.3), flags, datetime.now(UTC))
    assert (reading.value, reading.quality) == (12.3, Quality.UNCERTAIN)
    assert "by hand" in reading.error


async def test_a_number_that_is_none_is_bad_and_an_object_that_is_missing_costs_its_point_only(
    station: BacnetStation, ground: BacnetGround
) -> None:
    ground.power.presentValue = float("nan")
    ground.app.delete_object(ground.setpoint)
    energy, power, setpoint = await station.read()
    assert (energy.value, power.value, setpoint.value) == (4711.25, None, None)
    assert "no number" in power.error
    assert "unknown-object" in setpoint.error


async def test_a_command_takes_its_priority_and_release_lets_the_next_one_hold(
    station: BacnetStation, ground: BacnetGround
) -> None:
    assert (await station.write(SETPOINT, 33.5)).value == 33.5
    assert ground.setpoint.priorityArray[7].real == 33.5
    await ground.setpoint.write_property("presentValue", Real(40.0), None, 5)
    assert (await station.write(SETPOINT, 34.5)).value == 40.0  # what holds is read back, not what was asked
    await ground.setpoint.write_property("presentValue", Null(()), None, 5)
    assert await shown(station) == [4711.25, 12.3, 34.5]
    assert (await station.release(SETPOINT)).value == 21.5


async def test_what_is_beyond_its_limits_or_not_writable_is_neither_set_nor_released(
    station: BacnetStation, ground: BacnetGround
) -> None:
    with pytest.raises(RefusedError, match="from 0 to 5000"):
        await station.write(SETPOINT, 5001)
    with pytest.raises(MisconfiguredError):
        await station.release(GAUGE)
    assert ground.held(SETPOINT) == 21.5


async def test_another_device_at_the_address_is_never_read_for_ours(driver: BacnetDriver, ground: BacnetGround) -> None:
    wrong = driver.station(replace(ground.device, address=f"{INSTANCE + 1}@{HOST}:{ground.outer}"))
    readings = await wrong.read()
    assert {reading.value for reading in readings} == {None}
    assert all("is not device 1002" in reading.error for reading in readings)


async def test_a_number_alone_needs_a_broadcast_and_says_so(driver: BacnetDriver, ground: BacnetGround) -> None:
    readings = await driver.station(replace(ground.device, address=str(INSTANCE))).read()
    assert all("Who-Is needs a broadcast" in reading.error for reading in readings)


async def test_an_address_that_is_none_says_so(driver: BacnetDriver, ground: BacnetGround) -> None:
    readings = await driver.station(replace(ground.device, address=f"{INSTANCE}@10.0.0.999")).read()
    assert all("is no address" in reading.error for reading in readings)


async def test_a_port_that_is_taken_is_not_shared_with_its_owner(ground: BacnetGround) -> None:
    line = BacnetLine(
        driver="bacnet", code="L", gateway="G", interface=f"{HOST}:{ground.inner}", poll_s=1, timeout_s=0.3
    )
    driver = BacnetDriver(line, lambda: datetime.now(UTC))
    with pytest.raises(UnreachableError, match="is the port free") as caught:
        await driver.station(ground.device).read()
    assert caught.value.link
    await driver.close()


async def test_a_foreign_device_finds_others_by_number_through_its_bbmd() -> None:
    ground = BacnetGround()
    ground.show(SHOWN)
    ground.more = ("--bbmd", f"{HOST}:{ground.inner}")
    await ground.start()
    line = BacnetLine(
        driver="bacnet", code="L", gateway="G", interface=f"{HOST}:{free_udp_port()}", poll_s=1, timeout_s=0.5,
        bbmd=f"{HOST}:{ground.inner}", bbmd_ttl_s=30,
    )  # fmt: skip
    driver = BacnetDriver(line, lambda: datetime.now(UTC))
    try:
        station = driver.station(replace(ground.device, address=str(INSTANCE)))
        assert await shown(station) == [4711.25, 12.3, 21.5]
    finally:
        await driver.close()
        await ground.stop()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("was", "instead", "fault"),
    [
        ('"analog-value,1"', '"analog-valve,1"', "analog-valve"),
        ('"analog-value,1"', '"analog-value,4194303"', "above 4194302"),
        ('"analog-value,1"', '"analog-input,1"', "more than once"),
        ("writable = [0, 5000]", "writable = [5, 0]", "from more to less"),
        ("writable = [0, 5000]", "writable = [0, 5]\nwrite_priority = 2", "life safety"),
        ("writable = [0, 5000]", "writable = [0, 5]\nwrite_priority = 17", "write_priority"),
    ],
)
def test_a_profile_that_cannot_be_says_which_measure(was: str, instead: str, fault: str) -> None:
    with pytest.raises(InvalidProfileError, match=fault):
        parse(PROFILE.replace(was, instead), "ground-bacnet")
