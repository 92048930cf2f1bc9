"""Thirteen hours without a hub at 2,000 points a minute, then it comes back: everything counted, and the present first.

The hours are simulated: their readings lie in the real spool with their times; broker, hub and database are real.  The
pace is the one that a gateway has by itself.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from edge_agent.clock import Clock
from edge_agent.config import EdgeConfig
from edge_agent.frame import Frame
from edge_agent.health import Health
from edge_agent.publisher import Publisher
from edge_agent.roster import Roster
from edge_agent.spool import Spool
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.bench.field_hub import FieldHub, config_of, field_hub, points_of
from tests.bench.row import Row, at_least, at_most, percentile

DEVICES, COUNTERS, GAUGES = 20, 20, 80  # 2,000 points
MINUTES = 13 * 60
BACKFILL_PER_S = 10_000  # what a site file says that says nothing
LIVE_EVERY_S = 3.0  # a device each: 2,000 points a minute
DELAY_S = 2.0
WITHIN_S = 900.0


def value_of(device: int, point: int, turn: int) -> tuple[float | None, Quality]:
    """What a point says at a turn: now and then nothing, or something that is not to be trusted."""
    kind = (turn + 7 * point + 3 * device) % 97
    if kind == 0:
        return None, Quality.BAD
    return device * 1e6 + point * 1e4 + turn / 8, Quality.UNCERTAIN if kind == 1 else Quality.GOOD


def frame_of(device: int, turn: int, at: datetime) -> Frame:
    names = [f"c{n}" for n in range(COUNTERS)] + [f"g{n}" for n in range(GAUGES)]
    return Frame(
        f"D{device}",
        tuple(Reading(f"D{device}.{name}", at, *value_of(device, n, turn)) for n, name in enumerate(names)),
    )


def outage(end: datetime) -> Iterator[list[Frame]]:
    for minute in range(MINUTES):
        at = end - timedelta(minutes=MINUTES - minute)
        yield [frame_of(device, minute, at) for device in range(DEVICES)]


async def measure(folder: Path) -> list[Row]:
    config = config_of(DEVICES, COUNTERS, GAUGES, BACKFILL_PER_S)
    async with field_hub(folder, DEVICES) as there:
        spool = Spool(folder / "spool.sqlite", max_mb=512)
        spool.follow(config.retention)
        expected: dict[str, list[tuple[datetime, float | None, int]]] = {}
        begun = datetime.now(UTC).replace(microsecond=0)
        for frames in outage(begun):
            await asyncio.to_thread(spool.append, frames)
            _note(expected, frames)
        size_mb = (folder / "spool.sqlite").stat().st_size / 1e6
        async with there.running():
            delays, took_s = await _come_back(there, config, spool, expected)
        spool.close()
        lost, strange = await asyncio.to_thread(_count, there.owner, expected)
    sent = sum(map(len, expected.values()))
    said = f"edge_outage: {sent:,} readings of 13 h ({size_mb:.0f} MB)"
    return [
        at_most(f"{said}, lost", lost, 0.5, "readings"),
        at_most(f"{said}, twice or other than read (value, time, quality)", strange, 0.5, "readings"),
        at_most(
            f"edge_outage: delay of {len(delays)} live polls during the backfill, the worst", max(delays), DELAY_S, "s"
        ),
        at_most("edge_outage: delay of live polls during the backfill, 95th", percentile(delays, 0.95), DELAY_S, "s"),
        at_most("edge_outage: delay of live polls during the backfill, median", percentile(delays, 0.5), DELAY_S, "s"),
        at_least(
            "edge_outage: readings/s of the backfill, of its pace", sent / took_s / BACKFILL_PER_S, 0.5, "of pace"
        ),
    ]


def _note(expected: dict[str, list[tuple[datetime, float | None, int]]], frames: list[Frame]) -> None:
    for frame in frames:
        for reading in frame.readings:
            expected.setdefault(reading.point, []).append((reading.at, reading.value, int(reading.quality)))


async def _come_back(
    there: FieldHub, config: EdgeConfig, spool: Spool, expected: dict[str, list[tuple[datetime, float | None, int]]]
) -> tuple[list[float], float]:
    """Let the gateway find its hub, read on meanwhile; gives the delay of each poll, and how long all took, in s."""
    clock = Clock(spool.newest)
    publisher = Publisher(
        config, there.edge_broker, spool=spool, roster=Roster(config, spool.points()), clock=clock, health=Health()
    )
    begun_s = time.monotonic()
    edge = asyncio.create_task(publisher.run())
    delays: list[float] = []
    watches: list[asyncio.Task[None]] = []
    turn = MINUTES
    async with await psycopg.AsyncConnection.connect(there.owner, autocommit=True) as database:
        async with asyncio.timeout(WITHIN_S):
            while spool.committed == 0:  # noqa: ASYNC110  the hub is starting; the spool has no event for this
                await asyncio.sleep(0.1)
            while spool.depth() > 2 * DEVICES:
                device = turn % DEVICES
                frame = frame_of(device, turn, clock.now())
                _note(expected, [frame])
                last = await asyncio.to_thread(spool.append, [frame])
                publisher.fresh([Frame(frame.device, frame.readings, number=last)])
                watches.append(asyncio.create_task(_seen(database, f"D{device}.c0", frame.readings[0].at, delays)))
                turn += 1
                await asyncio.sleep(LIVE_EVERY_S)
            took_s = time.monotonic() - begun_s
            await asyncio.gather(*watches)
            while spool.depth():  # noqa: ASYNC110  nor for that
                await asyncio.sleep(0.1)
    edge.cancel()
    await asyncio.gather(edge, return_exceptions=True)
    return delays, took_s


async def _seen(database: psycopg.AsyncConnection, point: str, at: datetime, delays: list[float]) -> None:
    begun_s = time.monotonic()
    query = "SELECT 1 FROM latest JOIN points p ON p.id = point_id WHERE p.code = %s AND at >= %s"
    while not await (await database.execute(query, [point, at])).fetchone():  # noqa: ASYNC110  looked for from outside
        await asyncio.sleep(0.02)
    delays.append(time.monotonic() - begun_s)


def _count(owner: str, expected: dict[str, list[tuple[datetime, float | None, int]]]) -> tuple[int, int]:
    """Give how many readings are not there, and how many are there twice or otherwise than they were read."""
    lost = strange = 0
    points = points_of(owner)
    with psycopg.connect(owner) as connection:
        connection.execute("SET timezone TO 'UTC'")
        for code, readings in expected.items():
            query = "SELECT at, value, quality FROM samples WHERE point_id = %s ORDER BY at"
            found = connection.execute(query, [points[code]]).fetchall()
            lost += len(set(readings) - set(found))
            strange += len(found) - len(set(found) & set(readings))
        ((all_of_them,),) = connection.execute("SELECT count(*) FROM samples").fetchall()
    return lost, strange + all_of_them - sum(map(len, expected.values())) + lost
