"""What every driver does, whatever its protocol: the conformance suite."""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from drivers.catalogue import driver_of
from drivers.driver import Driver, Station
from drivers.errors import DriverError, MisconfiguredError, RefusedError, UnreachableError
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Ground, Trouble
from tests.contract.grounds import GROUNDS

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
WAITS_MAX = 8  # times the line's time-out that any call may take
HUGE_KB = 50_000
RESTARTS = 20
WRITABLE = sorted(set(GROUNDS) - {"dlt645", "cjt188", "mbus", "mbus-secondary"})  # meters are only read


@pytest.fixture(params=sorted(GROUNDS))
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    made = GROUNDS[request.param]()
    made.show(SHOWN)
    await made.start()
    yield made
    made.trouble(None)
    await made.stop()


@pytest.fixture
async def driver(ground: Ground) -> AsyncIterator[Driver]:
    opened = driver_of(ground.line, lambda: datetime.now(UTC))
    yield opened
    await opened.close()


@pytest.fixture
def station(driver: Driver, ground: Ground) -> Station:
    return driver.station(ground.device)


def values(readings: list[Reading]) -> dict[str, float | None]:
    return {reading.point.partition(".")[2]: reading.value for reading in readings}


async def bounded(station: Station, ground: Ground) -> list[Reading] | DriverError:
    """Read; gives the readings or the error, and fails when it takes too long."""
    begun = time.monotonic()
    try:
        return await station.read()
    except DriverError as error:
        return error
    finally:
        assert time.monotonic() - begun < WAITS_MAX * ground.line.timeout_s


def useless(said: list[Reading] | DriverError) -> bool:
    """Whether nothing that came can be taken for a value."""
    return isinstance(said, DriverError) or all(
        reading.value is None and reading.quality is Quality.BAD and reading.error for reading in said
    )


async def test_every_point_is_read_with_value_quality_and_time(station: Station, ground: Ground) -> None:
    before = datetime.now(UTC)
    readings = await station.read()
    assert values(readings) == SHOWN
    assert [reading.point for reading in readings] == [asked.point.code for asked in ground.device.points]
    assert {reading.quality for reading in readings} == {Quality.GOOD}
    assert all(before <= reading.at <= datetime.now(UTC) for reading in readings)
    assert station.plan


@pytest.mark.parametrize("ground", WRITABLE, indirect=True)
async def test_what_can_be_written_is_written_and_read_back(station: Station, ground: Ground) -> None:
    assert (await station.write(SETPOINT, 33.5)).value == 33.5
    assert ground.held(SETPOINT) == 33.5
    assert values(await station.read())[SETPOINT] == 33.5


async def test_what_cannot_be_written_says_so_and_stays(station: Station, ground: Ground) -> None:
    for measure in (COUNTER, GAUGE, "nothing_like_this"):
        with pytest.raises((MisconfiguredError, RefusedError)):
            await station.write(measure, 1.0)
    assert values(await station.read()) == SHOWN
    assert ground.held(COUNTER) == SHOWN[COUNTER]


async def test_a_device_that_is_gone_is_unreachable_and_found_again_by_itself(station: Station, ground: Ground) -> None:
    assert values(await station.read()) == SHOWN
    await ground.stop()
    assert isinstance(await bounded(station, ground), UnreachableError)
    await ground.start()
    ground.show({GAUGE: 45.6})
    assert await found_again(station, ground) == {**SHOWN, GAUGE: 45.6}


async def found_again(station: Station, ground: Ground) -> dict[str, float | None]:
    for _ in range(5):
        said = await bounded(station, ground)
        if not useless(said):
            assert not isinstance(said, DriverError)
            return values(said)
    raise AssertionError(said)


# An RTU frame does not say which question it answers, so one that comes later than the line waits may meet the next:
# the last of them arrive while nobody asks.
ON_ITS_WAY_S = 2.0


@pytest.mark.parametrize("how", list(Trouble))
async def test_a_device_that_misbehaves_gives_nothing_within_a_bound_and_is_right_again_afterwards(
    station: Station, ground: Ground, how: Trouble
) -> None:
    if how not in ground.troubles:
        pytest.skip("the protocol cannot have this trouble")
    await station.read()
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ground.trouble(how)
    for _ in range(2):
        said = await bounded(station, ground)
        late = how is Trouble.SLOW and isinstance(said, list) and values(said) == SHOWN  # a second try met the answer
        assert useless(said) or late
    ground.trouble(None)
    if how is Trouble.SLOW:
        await asyncio.sleep(ON_ITS_WAY_S)
    ground.show({GAUGE: 45.6, COUNTER: 5000.25})
    assert await found_again(station, ground) == {**SHOWN, GAUGE: 45.6, COUNTER: 5000.25}
    for gauge in (1.5, 2.5, 3.5):  # no late answer is ever taken for the next one
        ground.show({GAUGE: gauge})
        assert values(await station.read())[GAUGE] == gauge
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb < HUGE_KB


async def test_a_device_that_restarts_again_and_again_is_found_every_time(station: Station, ground: Ground) -> None:
    for number in range(RESTARTS):
        await ground.stop()
        await ground.start()
        ground.show({GAUGE: float(number)})
        assert (await found_again(station, ground))[GAUGE] == float(number)


async def test_a_reader_that_gives_up_leaves_the_line_usable(station: Station, ground: Ground) -> None:
    await station.read()
    for wait_s in (0.0, 0.001, 0.01, 0.05):
        ground.trouble(Trouble.SLOW if Trouble.SLOW in ground.troubles else Trouble.SILENT)
        task = asyncio.create_task(station.read())
        await asyncio.sleep(wait_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ground.trouble(None)
        assert await found_again(station, ground) == SHOWN


async def test_many_readers_at_once_are_all_answered(station: Station) -> None:
    answers = await asyncio.gather(*(station.read() for _ in range(10)))
    assert all(values(readings) == SHOWN for readings in answers)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_closing_leaves_nothing_behind_in_the_middle_of_a_read_too(ground: Ground) -> None:
    tasks = asyncio.all_tasks()
    before = open_files()
    for how in (None, Trouble.SILENT):
        for _ in range(3):
            driver = driver_of(ground.line, lambda: datetime.now(UTC))
            station = driver.station(ground.device)
            ground.trouble(None)
            await station.read()
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
