"""What a device tells by itself: subscribed, renewed, distrusted, and polled all the same."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from drivers.bacnet.answer import Wanted
from drivers.bacnet.cov import (
    AWAKE_GAP_S,
    COV_RETRY_S,
    FIRST_WORD_S,
    PROOF_CYCLES,
    PROOF_S,
    TOLD_MAX,
    Subscriptions,
)
from drivers.bacnet.line import BacnetDriver, BacnetStation
from drivers.bacnet.stack import Stack
from drivers.catalogue import parse
from drivers.profile import InvalidProfileError
from rules.model.line import BacnetLine
from rules.model.quality import Quality
from tests.contract.ground import COUNTER, GAUGE, SETPOINT, Trouble
from tests.contract.ground_bacnet import PROFILE, BacnetGround

SHOWN = {COUNTER: 4711.25, GAUGE: 12.3, SETPOINT: 21.5}
TOLD = ["analog-input,1", "analog-value,1"]
WITH_COV = PROFILE.replace('protocol = "bacnet"', 'protocol = "bacnet"\ncov = true')
LIFETIME_S = 300
RESTARTS = 30


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def ground() -> AsyncIterator[BacnetGround]:
    made = BacnetGround()
    made.device = replace(made.device, profile=parse(WITH_COV, "ground-bacnet"))
    made.show(SHOWN)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def station(ground: BacnetGround, clock: Clock) -> AsyncIterator[BacnetStation]:
    assert isinstance(ground.line, BacnetLine)
    driver = BacnetDriver(ground.line, lambda: datetime.now(UTC), monotonic_s=clock)
    yield driver.station(ground.device)
    await driver.close()


async def shown(station: BacnetStation) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for reading in await station.read():
        found.setdefault(reading.point.partition(".")[2], []).append(reading.value)
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not true():  # noqa: ASYNC110  # it lives in the other half of this loop
            await asyncio.sleep(0.005)


async def told(station: BacnetStation) -> None:
    """Wait until the device has told something that is not yet read."""
    assert station._told is not None
    waiting = station._told._waiting
    await until(lambda: len(waiting) > 0)


async def living(station: BacnetStation) -> None:
    await until(lambda: station._told is not None and all(station._told.last(n) is not None for n in (1, 2)))


async def subscribed(station: BacnetStation, ground: BacnetGround) -> None:
    await station.read()
    await living(station)
    await station.read()
    ground.app.lists.clear()


async def test_gauges_are_told_and_the_counter_is_polled(station: BacnetStation, ground: BacnetGround) -> None:
    await subscribed(station, ground)
    assert sorted(ground.app.subscribed) == TOLD
    assert await shown(station) == {COUNTER: [4711.25], GAUGE: [12.3], SETPOINT: [21.5]}
    assert ground.app.lists == [1]


async def test_every_change_is_handed_out_with_the_time_of_its_arrival(
    station: BacnetStation, ground: BacnetGround
) -> None:
    await subscribed(station, ground)
    before = datetime.now(UTC)
    for value in (13.3, 14.3):
        ground.show({GAUGE: value})
        await told(station)
        await asyncio.sleep(0.01)
    readings = [r for r in await station.read() if r.point == "M.power"]
    assert [reading.value for reading in readings] == [13.3, 14.3, 14.3]
    assert all(a.at < b.at for a, b in pairwise(readings))
    assert before < readings[0].at < datetime.now(UTC)
    assert {reading.quality for reading in readings} == {Quality.GOOD}


async def test_a_subscription_is_renewed_long_before_its_end(
    station: BacnetStation, ground: BacnetGround, clock: Clock
) -> None:
    await subscribed(station, ground)
    clock.seconds = LIFETIME_S / 2 - 1
    await station.read()
    assert len(ground.app.subscribed) == 2
    clock.seconds = LIFETIME_S / 2
    await station.read()
    assert sorted(ground.app.subscribed) == sorted(2 * TOLD)


async def test_a_restart_that_nobody_saw_is_found_by_the_next_proof(
    station: BacnetStation, ground: BacnetGround
) -> None:
    await subscribed(station, ground)
    await ground.stop()
    await ground.start()  # between two readings: no question went unanswered, all subscriptions are forgotten
    ground.show({GAUGE: 45.6})
    for _ in range(PROOF_CYCLES):
        last = await shown(station)
    assert last[GAUGE][-1] == 45.6
    await station.read()
    assert sorted(ground.app.subscribed) == TOLD
    await living(station)
    ground.show({GAUGE: 46.6})
    await told(station)
    assert 46.6 in (await shown(station))[GAUGE]


async def test_a_device_that_was_lost_is_subscribed_anew_when_it_is_back(
    station: BacnetStation, ground: BacnetGround
) -> None:
    for number in range(3):
        await subscribed(station, ground)
        await ground.stop()
        with pytest.raises(Exception, match="no answer"):
            await station.read()
        await ground.start()
        ground.show({GAUGE: 50.0 + number})
        assert (await shown(station))[GAUGE][-1] == 50.0 + number
        assert sorted(ground.app.subscribed) == TOLD


async def test_a_device_that_restarts_again_and_again_is_subscribed_every_time(
    station: BacnetStation, ground: BacnetGround
) -> None:
    await subscribed(station, ground)
    for number in range(RESTARTS):
        await ground.stop()
        await ground.start()
        ground.show({GAUGE: 100.0 + number})
        for _ in range(PROOF_CYCLES + 1):
            last = (await shown(station))[GAUGE][-1]
        assert last == 100.0 + number
        assert sorted(ground.app.subscribed) == TOLD
        await living(station)


def test_many_objects_are_subscribed_as_fast_as_their_lifetime_wants(clock: Clock) -> None:
    line = BacnetLine(driver="bacnet", code="L", gateway="G", interface="127.0.0.1", poll_s=1)
    objects = {n: Wanted("analog-input", n, "present-value") for n in range(200)}

    def at_once(every_s: float) -> int:
        made = Subscriptions(
            Stack(line), 1, objects, lifetime_s=LIFETIME_S, every_s=every_s, now=lambda: datetime.now(UTC),
            monotonic_s=clock,
        )  # fmt: skip
        return made._at_once

    assert at_once(1) == 20
    assert at_once(60) * (LIFETIME_S / 2 / 60) >= len(objects)


async def test_a_proof_comes_after_so_many_readings_or_so_much_time(
    station: BacnetStation, ground: BacnetGround, clock: Clock
) -> None:
    await subscribed(station, ground)
    for _ in range(PROOF_CYCLES + 1):
        await station.read()
    assert ground.app.lists.count(3) == 1
    ground.app.lists.clear()
    clock.seconds = PROOF_S
    await station.read()
    assert ground.app.lists == [3]


async def test_a_change_below_the_increment_is_no_sign_of_trouble(
    station: BacnetStation, ground: BacnetGround, clock: Clock
) -> None:
    await subscribed(station, ground)
    ground.show({GAUGE: 12.6})
    clock.seconds = PROOF_S
    assert (await shown(station))[GAUGE] == [12.6]
    await station.read()
    assert sorted(ground.app.subscribed) == TOLD


async def test_a_full_table_leaves_the_rest_to_the_poll_and_is_tried_again_later(
    station: BacnetStation, ground: BacnetGround, clock: Clock
) -> None:
    ground.app.room = 1
    for _ in range(3):
        assert (await shown(station))[SETPOINT][-1] == 21.5
        await asyncio.sleep(0.02)
    assert ground.app.subscribed == TOLD[:1]
    ground.app.room = 10
    clock.seconds = COV_RETRY_S
    await station.read()
    assert TOLD[1] in ground.app.subscribed


@pytest.mark.parametrize("how", ["refused", "mute"])
async def test_a_device_that_tells_nothing_is_polled(
    station: BacnetStation, ground: BacnetGround, clock: Clock, how: str
) -> None:
    ground.app.cov, ground.app.mute = how != "refused", how == "mute"
    for value in (1.5, 2.5, 3.5):
        ground.show({GAUGE: value})
        assert (await shown(station))[GAUGE] == [value]
    clock.seconds = FIRST_WORD_S + 1
    asked = len(ground.app.subscribed)
    for value in (4.5, 5.5):
        ground.show({GAUGE: value})
        assert (await shown(station))[GAUGE] == [value]
    assert len(ground.app.subscribed) == asked  # not asked again at every reading


async def test_a_renewal_that_fails_is_known_at_once(
    station: BacnetStation, ground: BacnetGround, clock: Clock
) -> None:
    await subscribed(station, ground)
    ground.app.cov = False
    clock.seconds = LIFETIME_S / 2
    ground.app.mute = True
    ground.show({GAUGE: 45.6})
    assert (await shown(station))[GAUGE] == [45.6]


async def test_an_i_am_is_taken_for_a_restart(station: BacnetStation, ground: BacnetGround, clock: Clock) -> None:
    await subscribed(station, ground)
    clock.seconds = AWAKE_GAP_S
    station._told.awake()  # type: ignore[union-attr]
    await station.read()
    assert sorted(ground.app.subscribed) == sorted(2 * TOLD)


async def test_a_fault_that_is_told_is_bad(station: BacnetStation, ground: BacnetGround) -> None:
    await subscribed(station, ground)
    ground.power.statusFlags = [0, 1, 0, 0]
    await told(station)
    readings = [r for r in await station.read() if r.point == "M.power"]
    assert readings[0].quality is Quality.BAD
    assert "at fault" in readings[0].error


async def test_a_device_that_tells_without_an_end_is_bounded_and_warned_of_once(
    station: BacnetStation, ground: BacnetGround, caplog: pytest.LogCaptureFixture
) -> None:
    await subscribed(station, ground)
    caplog.set_level(logging.WARNING)
    watched = station._told
    assert watched is not None
    last = watched.last(1)
    assert last is not None
    watched._now = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**6)).__next__
    for _ in range(5 * TOLD_MAX):
        watched.told(("analog-input", 1), {"present-value": last.value})
    assert len(await station.read()) <= TOLD_MAX + 3
    assert len([r for r in caplog.records if "more changes than are read" in r.message]) == 1


async def test_strangers_are_not_listened_to(station: BacnetStation, ground: BacnetGround) -> None:
    await subscribed(station, ground)
    ground.trouble(Trouble.MALFORMED)
    ground.show({GAUGE: 77.7})
    await asyncio.sleep(0.05)
    ground.trouble(None)
    assert 77.7 not in (await shown(station))[GAUGE][:-1]


@pytest.mark.parametrize("lifetime", ["0", "59", "100000"])
def test_a_subscription_without_a_sensible_end_is_refused(lifetime: str) -> None:
    with pytest.raises(InvalidProfileError, match="cov_lifetime_s"):
        parse(WITH_COV.replace("cov = true", f"cov = true\ncov_lifetime_s = {lifetime}"), "ground-bacnet")
