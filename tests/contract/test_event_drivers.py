"""What every driver of doors does, whatever its protocol: the conformance suite for devices that tell by themselves."""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers.catalogue import driver_of
from drivers.driver import Driver, Station, Telling
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from rules.model.event import BadgeEvent, Event
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.contract.event_ground import EventGround
from tests.contract.ground import Trouble
from tests.contract.ground_onvif import OnvifGround
from tests.contract.ground_osdp import OsdpGround

GROUNDS: Mapping[str, Callable[[], EventGround]] = {"onvif": OnvifGround, "osdp": OsdpGround}
WAITS_MAX = 8  # times the line's time-out that any call may take
HUGE_KB = 50_000
RESTARTS = 20
TRIES = 12


@pytest.fixture(params=sorted(GROUNDS))
async def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EventGround]:
    monkeypatch.setenv("PLANTROOM_CREDENTIALS", str(tmp_path))
    made = GROUNDS[request.param]()
    made.prepare(tmp_path)
    await made.start()
    yield made
    made.trouble(None)
    await made.stop()


@pytest.fixture
async def driver(ground: EventGround) -> AsyncIterator[Driver]:
    opened = driver_of(ground.line, lambda: datetime.now(UTC))
    yield opened
    await opened.close()


@pytest.fixture
def station(driver: Driver, ground: EventGround) -> Station:
    return driver.station(ground.device)


def values(readings: list[Reading]) -> dict[str, float | None]:
    """Give the last value of each measure."""
    return {reading.point.partition(".")[2]: reading.value for reading in readings}


async def bounded(station: Station, ground: EventGround) -> list[Reading] | DriverError:
    begun = time.monotonic()
    try:
        return await station.read()
    except DriverError as error:
        return error
    finally:
        assert time.monotonic() - begun < WAITS_MAX * ground.line.timeout_s


def useless(said: list[Reading] | DriverError) -> bool:
    return isinstance(said, DriverError) or all(
        reading.value is None and reading.quality is Quality.BAD and reading.error for reading in said
    )


async def shows(station: Station, ground: EventGround, wanted: Mapping[str, float]) -> dict[str, float | None]:
    """Read until the device says ``wanted``; gives all that it says."""
    for _ in range(TRIES):
        said = await bounded(station, ground)
        if not isinstance(said, DriverError) and wanted.items() <= values(said).items():
            return values(said)
        await asyncio.sleep(0.1)
    raise AssertionError(said)


async def tells(station: Station, ground: EventGround, result: str) -> BadgeEvent:
    """Read until an event of this result is told."""
    assert isinstance(station, Telling)
    seen: list[Event] = []
    for _ in range(TRIES):
        await bounded(station, ground)
        seen += station.take_events()
        for event in seen:
            if isinstance(event, BadgeEvent) and event.result == result:
                return event
        await asyncio.sleep(0.1)
    raise AssertionError(seen)


async def test_every_point_is_read_with_quality_and_time(station: Station, ground: EventGround) -> None:
    assert ground.shown.items() <= (await shows(station, ground, ground.shown)).items()
    before = datetime.now(UTC)
    readings = await station.read()
    assert [reading.point for reading in readings] == [asked.point.code for asked in ground.device.points]
    assert {r.quality for r in readings if r.point.partition(".")[2] in ground.shown} == {Quality.GOOD}
    assert all(before <= reading.at <= datetime.now(UTC) for reading in readings)
    assert all(reading.error for reading in readings if reading.value is None)
    assert station.plan


async def test_the_door_is_released_and_what_was_done_is_read_back(station: Station, ground: EventGround) -> None:
    await shows(station, ground, ground.shown)
    assert (await station.write(ground.lock, 1)).value == 1
    assert ground.is_released()
    assert (await station.write(ground.lock, 0)).value == 0
    assert not ground.is_released()


async def test_what_cannot_be_written_says_so_and_stays(station: Station, ground: EventGround) -> None:
    await shows(station, ground, ground.shown)
    for measure in ("door_open", "forced", "nothing_like_this"):
        with pytest.raises((MisconfiguredError, RefusedError)):
            await station.write(measure, 1)
    for value in (2, 0.5, -1):
        with pytest.raises(RefusedError):
            await station.write(ground.lock, value)
    assert ground.shown.items() <= values(await station.read()).items()
    assert not ground.is_released()


async def test_a_card_that_lets_nobody_in_is_told_once_with_its_number(station: Station, ground: EventGround) -> None:
    await shows(station, ground, ground.shown)
    begun = datetime.now(UTC)
    ground.badge()
    event = await tells(station, ground, "denied")
    assert (event.device, event.badge) == (ground.device.code, ground.card)
    assert begun - timedelta(milliseconds=1) <= event.at <= datetime.now(UTC)
    await station.read()
    assert isinstance(station, Telling)
    assert station.take_events() == []


async def test_a_device_that_is_gone_is_unreachable_and_found_again_by_itself(
    station: Station, ground: EventGround
) -> None:
    await shows(station, ground, ground.shown)
    await ground.stop()
    for _ in range(TRIES):  # one that pushes its states is missed a moment later
        if isinstance(said := await bounded(station, ground), UnreachableError):
            break
        await asyncio.sleep(0.05)
    assert isinstance(said, UnreachableError)
    await ground.start()
    await shows(station, ground, ground.shown)
    ground.open(on=True)
    await shows(station, ground, ground.opened)


@pytest.mark.parametrize("how", list(Trouble))
async def test_a_device_that_misbehaves_gives_nothing_within_a_bound_and_is_right_again_afterwards(
    station: Station, ground: EventGround, how: Trouble
) -> None:
    if how not in ground.troubles:
        pytest.skip("the protocol cannot have this trouble")
    await shows(station, ground, ground.shown)
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ground.trouble(how)
    for _ in range(TRIES):  # a door that pushes its states is lost after its silence, not at the first look
        if useless(await bounded(station, ground)):
            break
        await asyncio.sleep(0.2)
    assert useless(await bounded(station, ground))
    ground.trouble(None)
    await shows(station, ground, ground.shown)
    ground.open(on=True)
    await shows(station, ground, {"door_open": 1.0})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < HUGE_KB


async def test_a_device_that_restarts_again_and_again_is_found_every_time(
    station: Station, ground: EventGround
) -> None:
    for number in range(RESTARTS):
        await ground.stop()
        await ground.start()
        ground.open(on=bool(number % 2))
        await shows(station, ground, {"door_open": float(number % 2)})


async def test_a_reader_that_gives_up_leaves_the_line_usable(station: Station, ground: EventGround) -> None:
    await shows(station, ground, ground.shown)
    for wait_s in (0.0, 0.001, 0.01, 0.05):
        ground.trouble(Trouble.SILENT)
        task = asyncio.create_task(station.read())
        await asyncio.sleep(wait_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ground.trouble(None)
        await shows(station, ground, ground.shown)


async def test_many_readers_at_once_are_all_answered(station: Station, ground: EventGround) -> None:
    await shows(station, ground, ground.shown)
    answers = await asyncio.gather(*(station.read() for _ in range(10)))
    assert all(ground.shown.items() <= values(readings).items() for readings in answers)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_closing_leaves_nothing_behind_in_the_middle_of_a_read_too(ground: EventGround) -> None:
    tasks, before = asyncio.all_tasks(), open_files()
    for how in (None, Trouble.SILENT):
        for _ in range(3):
            driver = driver_of(ground.line, lambda: datetime.now(UTC))
            station = driver.station(ground.device)
            ground.trouble(None)
            await shows(station, ground, ground.shown)
            ground.trouble(how)
            asking = asyncio.create_task(bounded(station, ground))
            await asyncio.sleep(0.01)
            await driver.close()
            await driver.close()
            await asking
            await driver.close()
    ground.trouble(None)
    await ground.stop()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= tasks | {asyncio.current_task()}
    assert open_files() <= before
    await ground.start()
