"""The whole training site: devices of every protocol, a gateway, a broker and the hub, in quiet and in rough times."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from hub.store.database import Database
from tests.builders import Dsns
from tests.training import GOOD, Training, training

pytestmark = pytest.mark.timeout(180)

LATEST = f"""
SELECT count(*)::int FROM latest JOIN points p ON p.id = point_id
WHERE quality = {GOOD} AND latest.at > now() - interval '5 min'"""
BADGES = """
SELECT e.door, z.code, e.result FROM badge_events e JOIN zones z ON z.id = e.zone_id ORDER BY e.door, e.at"""
STILLS = """
SELECT s.camera, z.code, s.kind FROM stills s JOIN zones z ON z.id = s.zone_id WHERE camera = 'CAMERA-LOBBY'"""
ONLINE = "SELECT count(*)::int FROM devices WHERE NOT online"
SHUT = """
SELECT measure, value FROM latest JOIN points p ON p.id = point_id
WHERE starts_with(p.code, 'LEAK-1.') ORDER BY measure"""
OFF = "SELECT code FROM devices WHERE NOT online"
WATCHED = """
SELECT count(*) > 0 FROM stills s JOIN zones z ON z.id = s.zone_id
WHERE camera = 'CAMERA-PLANT' AND z.code = 'H-PLANT' AND s.kind = 'alarm'"""
SHOWN = [("DOOR-LOBBY", "H-LOBBY", "granted"), ("READER-SIDE", "H-SIDE", "denied")]
SEEN = [("CAMERA-LOBBY", "H-LOBBY", "motion")]
CUT = ("EM-MAIN", "EM-101", "EM-201", "HM-201", "HM-101", "EM-H2", "AHU-3", "CAMERA-PLANT")  # one of each line
CUT_S = 8  # BACnet takes four to be sure


@pytest.fixture
async def there(dsns: Dsns, database: Database, tmp_path: Path) -> AsyncIterator[Training]:
    async with training(dsns, database, tmp_path) as running:
        yield running


async def all_good(there: Training) -> None:
    await there.until(LATEST, [(len(there.points),)], 45)


async def show(there: Training) -> None:
    """Somebody comes in by the lobby, somebody is turned away at the side, the lobby's camera sees a motion."""
    await there.do(do="badge", device="DOOR-LOBBY", card="4711", granted=True)
    await there.do(do="badge", device="READER-SIDE", card="65")
    await there.do(do="show", device="CAMERA-LOBBY", what="motion", on=True)


async def test_every_protocol_s_points_arrive_good_and_events_once_in_their_zones(there: Training) -> None:
    there.start_edge()
    await all_good(there)
    await show(there)
    await there.do(do="inject", kind="intruder", device="CAMERA-PLANT")
    assert await there.answered(await there.give("AHU-1.supply_setpoint", 21.0)) == ("done", 21.0)
    await there.until(BADGES, SHOWN)
    await there.until(STILLS, SEEN)
    await there.until(WATCHED, [(True,)])
    await there.end_edge()
    assert (there.rows(BADGES), there.rows(STILLS)) == (SHOWN, SEEN)
    assert there.rows("SELECT reason FROM quarantine") == []
    assert counters_as_told(there) == {
        "EM-MAIN", "EM-101", "WM-MAIN", "EM-201", "WM-201", "HM-201", "HM-MAIN", "HM-101", "EM-H2",
    }  # fmt: skip


def counters_as_told(there: Training) -> set[str]:
    """Compare what is stored of counters with what the simulator told; gives the devices compared."""
    truth, compared = there.truth(), set()
    for asked in (asked for device in there.config.devices for asked in device.points):
        if told := truth.get(asked.point.code):
            compared.add(asked.point.device)
            ours = "SELECT value FROM samples JOIN points p ON p.id = point_id WHERE p.code = %s"
            stored = {Decimal(repr(value)) for (value,) in there.rows(ours, asked.point.code)}
            assert stored <= {count * asked.point.resolution for count in told}, asked.point
    return compared


async def test_a_leak_shuts_the_valve_by_itself_until_somebody_resets_it(there: Training) -> None:
    there.start_edge()
    await all_good(there)
    await there.do(do="inject", kind="offset", device="LEAK-1", measure="leak", amount=1, duration_s=3)
    await there.until(SHUT, [("leak", 0.0), ("leak_shut", 1.0), ("valve", 0.0)])  # dry again, and still shut
    assert (await there.answered(await there.give("LEAK-1.valve", 100.0)))[0] == "refused"
    assert (await there.answered(await there.give("LEAK-1.leak_shut", 0.0)))[0] == "done"
    await asyncio.sleep(1.1)  # the valve may be set once a second, and was asked for just now
    assert await there.answered(await there.give("LEAK-1.valve", 90.0)) == ("done", 90.0)


async def broker_restarts(there: Training) -> None:
    there.broker.child.end(signal.SIGKILL)  # type: ignore[union-attr]
    await in_the_spool(there)
    await asyncio.to_thread(there.broker.spawn)


async def edge_is_killed(there: Training) -> None:
    there.broker.child.end(signal.SIGKILL)  # type: ignore[union-attr]
    await in_the_spool(there)
    await there.end_edge(signal.SIGKILL)
    await asyncio.to_thread(there.broker.spawn)
    there.start_edge()


async def in_the_spool(there: Training) -> None:
    """Let it all happen while nobody can be told, until it is on disk."""
    await show(there)
    async with asyncio.timeout(20):
        while not there.spooled('"granted"', '"denied"', '"motion"'):  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("rough", [broker_restarts, edge_is_killed])
async def test_what_happens_while_the_broker_is_dead_arrives_once_even_if_the_gateway_is_killed(
    there: Training, rough: Callable[[Training], Awaitable[None]]
) -> None:
    there.start_edge()
    await all_good(there)
    assert await there.answered(await there.give("AHU-1.supply_setpoint", 21.0)) == ("done", 21.0)
    await rough(there)
    given = await there.give("LEAK-1.valve", 40.0)
    await there.until(BADGES, SHOWN)
    await there.until(STILLS, SEEN)
    assert await there.answered(given) == ("done", 40.0)
    await all_good(there)
    await there.end_edge()
    assert (there.rows(BADGES), there.rows(STILLS)) == (SHOWN, SEEN)
    assert there.rows("SELECT reason FROM quarantine") == []


async def test_devices_without_power_are_lost_once_and_come_back_on_every_line(there: Training) -> None:
    there.start_edge()
    await all_good(there)
    await there.until(ONLINE, [(0,)])
    for device in CUT:
        await there.do(do="inject", kind="power_cut", device=device, duration_s=CUT_S)
    for device in ("DOOR-LOBBY", "READER-SIDE", "CAMERA-LOBBY"):
        await there.do(do="power_cut", device=device)
    seen: set[str] = set()
    with suppress(TimeoutError):
        async with asyncio.timeout(25):
            while not seen.issuperset(CUT):
                seen |= {code for (code,) in await asyncio.to_thread(there.rows, OFF)}
                await asyncio.sleep(0.1)
    assert seen.issuperset(CUT), (set(CUT) - seen, there.log()[-4000:])
    await there.until(ONLINE, [(0,)], 40)
    await all_good(there)
    await there.end_edge()
    for device in CUT:
        lost, back = (there.log().count(f"device {device} is {word}") for word in ("lost", "back"))
        assert (device, lost, back) == (device, 1, 1)
