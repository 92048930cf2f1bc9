"""What an OPC UA server tells by itself: kept with its own time, watched, renewed, and never lost without a word."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.ua.status_codes import StatusCodes

from drivers.errors import UnreachableError
from drivers.opcua import subscription as module
from drivers.opcua.line import RESUBSCRIBE_S, OpcuaDriver, OpcuaStation
from drivers.opcua.subscription import Subscription
from rules.model.line import OpcuaLine
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.contract.ground_opcua import OTHER_URI, OpcuaGround

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
VALUES = [4711.25, 12.3, 21.5]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def ground() -> AsyncIterator[OpcuaGround]:
    made = OpcuaGround(subscribe=True)
    made.show(SHOWN)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def driver(ground: OpcuaGround, clock: Clock) -> AsyncIterator[OpcuaDriver]:
    assert isinstance(ground.line, OpcuaLine)
    opened = OpcuaDriver(ground.line, lambda: datetime.now(UTC), monotonic_s=clock)
    yield opened
    await opened.close()


@pytest.fixture
def station(driver: OpcuaDriver, ground: OpcuaGround) -> OpcuaStation:
    return driver.station(ground.device)


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  # what is waited for comes over a socket
            await asyncio.sleep(0.01)


def told(station: OpcuaStation) -> Subscription:
    assert station._subscription is not None
    return station._subscription


async def heard(station: OpcuaStation, count: int = 3) -> None:
    """Wait until the server has told so much that nobody has taken yet."""
    await until(lambda: told(station).heard and len(told(station).pending) >= count)


async def again(station: OpcuaStation) -> list[Reading]:
    for _ in range(4):
        try:
            return await station.read()
        except UnreachableError:
            continue
    raise AssertionError


async def settled(station: OpcuaStation, ground: OpcuaGround) -> None:
    """Subscribe, and take what is told first."""
    await again(station)
    await heard(station)
    await station.read()
    ground.reads.clear()


def of(readings: list[Reading], measure: str) -> list[float | None]:
    return [reading.value for reading in readings if reading.point == f"M.{measure}"]


async def test_the_first_reading_is_asked_and_the_next_are_told(station: OpcuaStation, ground: OpcuaGround) -> None:
    assert [reading.value for reading in await station.read()] == VALUES
    await heard(station)
    ground.reads.clear()
    readings = await station.read()
    assert [reading.value for reading in readings] == VALUES
    assert {reading.quality for reading in readings} == {Quality.GOOD}
    assert ground.reads == []


async def test_every_change_is_a_reading_with_its_own_time(station: OpcuaStation, ground: OpcuaGround) -> None:
    await settled(station, ground)
    times = [datetime.now(UTC) - timedelta(seconds=3 - n) for n in range(3)]
    await asyncio.sleep(0)
    for number, at in enumerate(times):
        await ground.tell(GAUGE, float(number), at)
    await heard(station)
    readings = await station.read()
    assert of(readings, GAUGE) == [0.0, 1.0, 2.0]
    came = [reading.at for reading in readings if reading.point == "M.power"]
    assert came == sorted(set(came))
    assert [reading.point for reading in readings] == ["M.energy", "M.power", "M.power", "M.power", "M.setpoint"]
    assert ground.reads == []


async def test_the_source_s_time_is_kept(station: OpcuaStation, ground: OpcuaGround) -> None:
    await settled(station, ground)
    await asyncio.sleep(0.01)
    at = datetime.now(UTC)
    await asyncio.sleep(0.1)
    await ground.tell(GAUGE, 7.0, at)
    await heard(station, 1)
    (reading,) = [reading for reading in await station.read() if reading.point == "M.power"]
    assert timedelta(0) <= at - reading.at < timedelta(milliseconds=1)


async def test_an_unchanged_point_is_read_at_every_poll_and_its_time_goes_forward(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    await settled(station, ground)
    answers = [await station.read() for _ in range(5)]
    assert all([reading.value for reading in readings] == VALUES for readings in answers)
    times = [readings[1].at for readings in answers]
    assert times == sorted(set(times))
    assert ground.reads == []


async def test_a_status_that_is_told_is_the_quality(station: OpcuaStation, ground: OpcuaGround) -> None:
    await settled(station, ground)
    await ground.tell(GAUGE, 5.0, status=StatusCodes.UncertainSensorNotAccurate)
    await ground.tell(GAUGE, 5.0, status=StatusCodes.BadSensorFailure)
    await heard(station, 2)
    uncertain, bad = [reading for reading in await station.read() if reading.point == "M.power"]
    assert (uncertain.value, uncertain.quality) == (5.0, Quality.UNCERTAIN)
    assert (bad.value, bad.quality) == (None, Quality.BAD)
    assert "BadSensorFailure" in bad.error


async def test_a_silent_subscription_is_dead_the_points_are_polled_and_it_is_renewed(
    station: OpcuaStation, ground: OpcuaGround, clock: Clock
) -> None:
    await settled(station, ground)
    assert ground.server is not None
    old = told(station)._id
    subscriptions = ground.server.iserver.subscription_service.subscriptions
    await subscriptions[old].stop()  # it answers no publish request any more
    ground.show({GAUGE: 77.5})
    clock.seconds += 70
    assert of(await station.read(), GAUGE)[-1] == 77.5
    assert ground.reads == [3]
    assert told(station)._id != old
    await heard(station)
    await station.read()
    await ground.tell(GAUGE, 78.5)
    await heard(station, 1)
    assert of(await station.read(), GAUGE) == [78.5]
    assert list(subscriptions) == [told(station)._id]


async def test_a_subscription_that_never_speaks_is_no_reason_to_show_old_values(
    station: OpcuaStation, ground: OpcuaGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Subscription, "_publish", lambda *_: asyncio.sleep(60))
    for value in (1.5, 2.5, 3.5):
        ground.show({GAUGE: value})
        assert of(await station.read(), GAUGE) == [value]


async def test_points_that_the_server_does_not_watch_are_polled_and_that_is_said_once(
    station: OpcuaStation, ground: OpcuaGround, caplog: pytest.LogCaptureFixture
) -> None:
    assert ground.server is not None
    service = ground.server.iserver.subscription_service
    made = service.create_monitored_items

    async def some(params: Any) -> Any:
        results = await made(params)
        results[1] = ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(StatusCodes.BadNotSupported))
        return results

    service.create_monitored_items = some
    with caplog.at_level(logging.WARNING):
        await station.read()
        await until(lambda: told(station).heard)
        for value in (1.5, 2.5):
            ground.show({GAUGE: value})
            assert of(await station.read(), GAUGE)[-1] == value
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "point M.power is polled, for its server does not watch it"
    ]


async def test_a_server_that_takes_no_subscription_is_polled_and_asked_again_later(
    station: OpcuaStation, ground: OpcuaGround, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert ground.server is not None
    service = ground.server.iserver.subscription_service
    make, asked = service.create_subscription, []

    async def none(*_: Any, **__: Any) -> Any:
        asked.append(1)
        raise ServiceError(StatusCodes.BadTooManySubscriptions)

    service.create_subscription = none
    with caplog.at_level(logging.WARNING):
        for value in (1.5, 2.5, 3.5):
            ground.show({GAUGE: value})
            assert of(await station.read(), GAUGE) == [value]
    assert len(asked) == 1
    assert "BadTooManySubscriptions" in caplog.text
    service.create_subscription = make
    clock.seconds += RESUBSCRIBE_S + 1
    await settled(station, ground)
    await station.read()
    assert ground.reads == []


async def test_changes_that_come_too_fast_are_counted_and_said(
    station: OpcuaStation, ground: OpcuaGround, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CHANGES_MAX", 5)
    await settled(station, ground)
    for burst in range(3):
        for number in range(3):
            await ground.tell(GAUGE, float(10 * burst + number))
        await until(
            lambda burst=burst: (
                told(station)._changes and told(station)._changes[-1].value.Value.Value == 10.0 * burst + 2
            )
        )  # type: ignore[misc]
    with caplog.at_level(logging.WARNING):
        assert of(await station.read(), GAUGE) == [11.0, 12.0, 20.0, 21.0, 22.0]
    assert "4 changes were lost" in caplog.text


async def test_a_queue_that_overflowed_at_the_server_is_said_too(
    station: OpcuaStation, ground: OpcuaGround, caplog: pytest.LogCaptureFixture
) -> None:
    await settled(station, ground)
    for number in range(50):
        await ground.tell(GAUGE, float(number))
    await heard(station, 5)
    await ground.tell(GAUGE, 51.0, status=0x0480)
    await until(lambda: told(station).lost)
    with caplog.at_level(logging.WARNING):
        assert of(await station.read(), GAUGE)[-1] == 51.0
    assert "changes were lost" in caplog.text


async def test_changes_that_nobody_could_take_outlive_a_cut(station: OpcuaStation, ground: OpcuaGround) -> None:
    await settled(station, ground)
    await ground.tell(GAUGE, 55.5)
    await heard(station, 1)
    ground.trouble(Trouble.SILENT)
    await ground.shim.cut()
    with pytest.raises(UnreachableError):
        await station.read()
    ground.trouble(None)
    ground.show({GAUGE: 60.5})
    assert of(await again(station), GAUGE) == [55.5, 60.5]


async def test_after_a_restart_it_tells_again_wherever_the_namespace_is_now(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    for turn in range(5):
        await settled(station, ground)
        await ground.tell(GAUGE, float(turn))
        await heard(station, 1)
        assert of(await station.read(), GAUGE) == [float(turn)]
        await ground.stop()
        ground.before = (OTHER_URI,) * (turn % 2)
        await ground.start()


async def test_the_session_and_its_one_subscription_are_taken_over_after_a_cut(
    station: OpcuaStation, ground: OpcuaGround
) -> None:
    assert ground.server is not None
    sessions = ground.sessions
    for _ in range(5):
        await settled(station, ground)
        await ground.shim.cut()
    await settled(station, ground)
    assert ground.sessions == sessions + 1
    assert len(ground.server.iserver._external_sessions) == 1
    assert len(ground.server.iserver.subscription_service.subscriptions) == 1


async def test_closing_ends_the_telling_and_the_session(ground: OpcuaGround) -> None:
    assert isinstance(ground.line, OpcuaLine)
    assert ground.server is not None
    tasks = asyncio.all_tasks()
    driver = OpcuaDriver(ground.line, lambda: datetime.now(UTC))
    station = driver.station(ground.device)
    await settled(station, ground)
    await driver.close()
    assert ground.server.iserver._external_sessions == {}
    assert ground.server.iserver.subscription_service.subscriptions == {}
    await asyncio.sleep(0.1)
    assert not [task for task in asyncio.all_tasks() - tasks if "opcua" in task.get_name()]
    await driver.close()


async def test_a_command_is_read_back_and_told_as_well(station: OpcuaStation, ground: OpcuaGround) -> None:
    await settled(station, ground)
    assert (await station.write(SETPOINT, 33.5)).value == 33.5
    await heard(station, 1)
    assert of(await station.read(), SETPOINT) == [33.5]
