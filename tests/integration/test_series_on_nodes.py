"""The life of readings on one server, and the same on a real Citus cluster where one is given.

PLANTROOM_TEST_CITUS_DSN is the owner's DSN of an empty database on its coordinator.  That database must have Citus and
at least one worker, and the owner may make roles on every node.  Without it the statements and the form of every query
are checked by tests/contract/test_series_spread.py.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege

from hub.alarms.definitions import load
from hub.alarms.judgement import judge
from hub.alarms.rows import Change
from hub.ingest import storage
from hub.ingest.samples import Columns, micros
from hub.jobs import rollups
from hub.readings import service as readings
from hub.store import citus
from hub.store.database import SYSTEM, Database, Role
from hub.store.migrate import migrate
from hub.store.series import SERIES
from rules.model.period import Period
from tests.builders import ENGINEER, Dsns, Park, register_park, site_file

DSN = os.environ.pop("PLANTROOM_TEST_CITUS_DSN", "")  # no setting: the programs refuse what they do not know
PASSWORD = "only for tests"
START = datetime(2026, 2, 2, tzinfo=UTC)
CODE, OTHER = "EM-A-MAIN.energy", "EM-A-MAIN.power"
GOOD = 192

ABSENT = pytest.mark.skipif(not DSN, reason="PLANTROOM_TEST_CITUS_DSN names no coordinator of a Citus cluster")
Kept = tuple[Database, Park]
CLUSTER_PARK: list[Park] = []  # registered once; the tests clear its readings


@pytest.fixture(params=["one server", pytest.param("citus", marks=ABSENT)])
async def kept(request: pytest.FixtureRequest, dsns: Dsns) -> AsyncIterator[Kept]:
    """A park whose first readings were there before its series were spread over nodes."""
    where = _cluster() if request.param == "citus" else dsns
    database = Database(where.hub)
    await database.open()
    park = CLUSTER_PARK[0] if where is not dsns and CLUSTER_PARK else await register_park(database, where, site_file())
    with psycopg.connect(where.owner) as connection:  # a cluster is used by one test after the other
        connection.execute("DELETE FROM dirty_buckets")
        for table in ("samples", "latest", "hourly", "daily"):
            connection.execute(f"DELETE FROM {table} WHERE point_id = ANY(%s)".encode(), [list(park.points.values())])
    await _ingest(database, park, 0)
    if where is not dsns:
        CLUSTER_PARK[:] = [park]
        citus.distribute(where.owner)
        assert citus.distribute(where.owner) == []
    citus.prove(where.hub)
    yield database, park
    await database.close()


def _cluster() -> Dsns:
    migrate(DSN, PASSWORD)
    return Dsns(DSN, make_conninfo(DSN, user="plantroom_hub", password=PASSWORD, options=""))


def _columns(rows: list[tuple[int, datetime, float]]) -> Columns:
    """Give good readings as ingest holds them."""
    points, ats, values = zip(*sorted(rows), strict=True)
    n = len(rows)
    at = np.array([micros(one) for one in ats])
    return Columns(np.array(points), at, np.array(values), np.full(n, GOOD, np.int16), np.ones(n, bool))


async def _ingest(database: Database, park: Park, hour: int) -> dict[int, datetime | None]:
    """Store six readings of two points from an hour on, as ingest does; give which points moved on."""
    at = [START + timedelta(hours=hour, minutes=10 * n) for n in range(6)]
    rows = [(park.points[code], one, 10.0 * hour + n) for code in (CODE, OTHER) for n, one in enumerate(at)]
    samples = _columns(rows)
    weeks = await storage.make_weeks(database, samples, ())
    assert weeks
    async with database.transaction(None, SYSTEM, Role.INGEST) as tx:
        await storage.store(tx, samples)
        moved = await storage.move_latest(tx, samples)
        await storage.mark_dirty(tx, samples)
    return moved


async def test_what_was_stored_before_and_after_is_read_rolled_up_and_judged(kept: Kept) -> None:
    database, park = kept
    point = park.points[CODE]
    moved = await _ingest(database, park, 1)
    assert moved[point] == START + timedelta(minutes=50)
    assert await _ingest(database, park, 1) == {}  # the same again goes through the staging table and moves nothing
    assert await _ingest(database, park, 24 * 21) != {}  # a week that nobody has made yet

    assert await rollups.rebuild(database) == 6
    period = Period(START, START + timedelta(hours=2))
    async with database.transaction(park.organisation, ENGINEER) as tx:
        found = await readings.series(tx, CODE, period)
        assert [one.value for one in found] == [*map(float, range(6)), *(10.0 + n for n in range(6))]
        buckets = await readings.chart(tx, await readings.point(tx, CODE), Period(START, START + timedelta(days=4)))
        assert [one.n for one in buckets if one.n] == [6, 6]
        latest = {one.point_id: one.at for one in await readings.latest(tx)}
        assert latest[point] == START + timedelta(days=21, minutes=50)
        complete = {one.point_id: one.readings for one in await readings.completeness(tx, period, park.site)}
        assert complete[point] == 12


async def test_the_walls_stand(kept: Kept) -> None:
    database, park = kept
    with psycopg.connect(park.dsns.owner) as connection:
        stranger = connection.execute(
            "INSERT INTO organisations (code, name_zh, name_en) VALUES ('elsewhere', 'Elsewhere', 'Elsewhere') "
            "ON CONFLICT (code) DO UPDATE SET name_en = excluded.name_en RETURNING id"
        ).fetchone()
    assert stranger is not None
    async with database.transaction(stranger[0], ENGINEER) as tx:
        assert await tx.value(b"SELECT count(*) FROM readings") == 0
        assert await tx.value(b"SELECT count(*) FROM latest_readings") == 0
    for table in SERIES[:3]:
        with pytest.raises(InsufficientPrivilege):
            async with database.transaction(park.organisation, ENGINEER) as tx:
                await tx.value(f"SELECT count(*) FROM {table}".encode())


async def test_readings_are_judged_in_the_transaction_that_stores_them(kept: Kept) -> None:
    database, park = kept
    at = START + timedelta(days=22)
    point = park.points[CODE]
    samples = _columns([(point, at, 7.0)])
    await storage.make_weeks(database, samples, ())
    async with database.transaction(None, SYSTEM, Role.INGEST) as tx:
        await storage.store(tx, samples)
        await storage.move_latest(tx, samples)
        await tx.become(Role.APP, park.organisation)
        change = Change(point, park.devices["EM-A-MAIN"], "energy", at, 7.0, GOOD)
        assert await judge(tx, load(()), [change], at) == []
