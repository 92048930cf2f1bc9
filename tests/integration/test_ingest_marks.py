"""An hour is marked once, and the rollups are those of the readings all the same."""

import asyncio
from datetime import UTC, datetime

import numpy as np
import psycopg

from hub.ingest.samples import Columns, micros
from hub.ingest.storage import Marks, Way, make_weeks
from hub.jobs import rollups
from hub.store.database import Database, Role
from tests.builders import Park

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
BATCHES, PER_BATCH = 60, 7


def batch(points: list[int], number: int) -> Columns:
    """A few readings of every point, all of one hour."""
    ats = micros(START) + (number * PER_BATCH + np.arange(PER_BATCH)) * 1_000_000
    count = len(points) * PER_BATCH
    return Columns(
        np.repeat(np.array(sorted(points)), PER_BATCH),
        np.tile(ats, len(points)),
        np.arange(count) / 8 + number,
        np.full(count, 192, np.int16),
        np.ones(count, bool),
    )


async def write(database: Database, samples: Columns, marks: Marks) -> Marks:
    await make_weeks(database, samples, [])
    async with database.transaction(None, role=Role.INGEST) as tx:
        await Way().store(tx, samples)
        return await marks.write(tx, samples)


def count(park: Park, query: str) -> int:
    with psycopg.connect(park.dsns.owner) as connection:
        ((found,),) = connection.execute(query.encode()).fetchall()
        return int(found)


MARKS = "SELECT count(*) FROM dirty_buckets"


async def test_an_hour_is_marked_again_only_after_somebody_took_the_mark(database: Database, park: Park) -> None:
    points = list(park.points.values())[:3]
    marks = await write(database, batch(points, 0), Marks())
    marks = await write(database, batch(points, 1), marks)
    assert count(park, MARKS) == 3
    await rollups.rebuild(database)
    assert count(park, MARKS) == 0
    marks = await write(database, batch(points, 2), marks)
    assert count(park, MARKS) == 3
    marks = await write(database, batch(list(park.points.values())[:4], 3), marks)
    assert count(park, MARKS) == 4


async def test_while_marks_are_being_taken_every_hour_is_marked(database: Database, park: Park) -> None:
    points = list(park.points.values())[:3]
    marks = await write(database, batch(points, 0), Marks())
    async with database.transaction(None, role=Role.INGEST) as tx:
        await tx.run(rollups.SQL["hold_rollups"])
        marks = await write(database, batch(points, 1), marks)
        assert count(park, MARKS) == 6
    assert marks.round is None


async def test_rollups_beside_writers_miss_nothing(database: Database, park: Park) -> None:
    codes = list(park.points.values())
    done = asyncio.Event()

    async def roll_up() -> None:
        while not done.is_set():
            await rollups.rebuild(database)

    async def writer(points: list[int]) -> None:
        marks = Marks()
        for number in range(BATCHES):
            marks = await write(database, batch(points, number), marks)

    rolling = asyncio.create_task(roll_up())
    await asyncio.gather(writer(codes[:4]), writer(codes[4:8]))
    done.set()
    await rolling
    await rollups.rebuild(database)
    different = """
        SELECT count(*) FROM hourly h FULL JOIN (
            SELECT point_id, date_trunc('hour', at) AS bucket, count(*) AS n, sum(value) AS sum, max(at) AS last_at
            FROM samples GROUP BY 1, 2) s USING (point_id, bucket)
        WHERE (h.n, h.sum, h.last_at) IS DISTINCT FROM (s.n, s.sum, s.last_at)"""
    assert count(park, different) == 0
    assert count(park, "SELECT sum(n) FROM hourly") == 8 * BATCHES * PER_BATCH
