"""Readings as people and billing ask for them, and the rollups behind long charts."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hub.errors import InvalidError, NotFoundError
from hub.jobs import rollups
from hub.readings import export, service
from hub.store.database import Database, Role
from rules.model.period import Period
from rules.model.quality import Quality
from tests.builders import ENGINEER, Park

START = datetime(2026, 2, 2, tzinfo=UTC)
CODE = "EM-A-MAIN.energy"
Row = tuple[str, datetime, float | None, int]


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def put(park: Park, rows: list[Row]) -> None:
    with psycopg.connect(park.dsns.owner) as connection:
        for code, at, value, quality in rows:
            connection.execute("SELECT plantroom.ensure_week(%s)", [at.date()])
            keys = [park.points[code], at, value, quality]
            connection.execute("INSERT INTO samples VALUES (%s, %s, %s, %s)", keys)
            bucket = at.replace(minute=0, second=0, microsecond=0)
            connection.execute("INSERT INTO dirty_buckets (point_id, bucket) VALUES (%s, %s)", [keys[0], bucket])
            connection.execute(
                """INSERT INTO latest VALUES (%s, %s, %s, %s) ON CONFLICT (point_id) DO UPDATE
                   SET at = excluded.at, value = excluded.value, quality = excluded.quality""",
                keys,
            )


def hourly(park: Park) -> list[tuple[object, ...]]:
    with psycopg.connect(park.dsns.owner) as connection:
        return connection.execute(
            "SELECT bucket, n, good_n, sum, min, max, first, last, last_at FROM hourly ORDER BY bucket"
        ).fetchall()


async def test_a_counter_series_reaches_to_the_nearest_good_reading_on_each_side(
    database: Database, park: Park
) -> None:
    put(
        park,
        [
            (CODE, hours(-30), 1.0, 192),  # beyond the margin
            (CODE, hours(-2), 2.0, 192),
            (CODE, hours(-1), None, 0),  # nearer, but not good
            (CODE, hours(0), 3.0, 192),
            (CODE, hours(5), None, 0),
            (CODE, hours(24), 9.0, 192),  # the end itself
            (CODE, hours(25), 10.0, 192),
        ],
    )
    async with database.transaction(park.organisation, ENGINEER) as tx:
        found = await service.counter_series(tx, park.points[CODE], Period(hours(0), hours(24)))
        alone = await service.counter_series(tx, park.points[CODE], Period(hours(0), hours(24)), timedelta(0))
    assert [(reading.at, reading.value) for reading in found] == [
        (hours(-2), 2.0), (hours(0), 3.0), (hours(5), None), (hours(24), 9.0),
    ]  # fmt: skip
    assert found[0].point == CODE
    assert found[2].quality is Quality.BAD
    assert [reading.at for reading in alone] == [hours(0), hours(5), hours(24)]


async def test_series_are_bounded_and_belong_to_their_organisation(database: Database, park: Park) -> None:
    put(park, [(CODE, hours(n), float(n), 192) for n in range(10)])
    day = Period(hours(0), hours(24))
    async with database.transaction(park.organisation, ENGINEER) as tx:
        assert len(await service.series(tx, CODE, day)) == 10
        assert [one.value for one in await service.series(tx, CODE, day, most=3)] == [0, 1, 2]
        with pytest.raises(NotFoundError, match="point 'NOPE'"):
            await service.series(tx, "NOPE", day)
        with pytest.raises(InvalidError, match="too long"):
            await service.series(tx, CODE, Period(hours(0), hours(24 * 366 * 7)))
    async with database.transaction(park.site, ENGINEER) as tx:  # an id that is no organisation
        assert await service.latest(tx) == []
        with pytest.raises(NotFoundError):
            await service.point(tx, CODE)


async def test_latest_names_every_point_also_those_never_read(database: Database, park: Park) -> None:
    put(park, [(CODE, hours(1), 5.0, 192)])
    async with database.transaction(park.organisation, ENGINEER) as tx:
        every = await service.latest(tx)
        main = await service.latest(tx, device_id=park.devices["EM-A-MAIN"])
        page = await service.latest(tx, park.site, after=every[0].point, most=1)
    assert len(every) == len(park.points)
    assert {one.point: (one.value, one.unit, one.age_s(hours(2))) for one in main} == {
        CODE: (5.0, "kWh", 3600), "EM-A-MAIN.power": (None, "kW", None),
    }  # fmt: skip
    assert [one.point for one in page] == [every[1].point]


async def test_rollups_count_only_good_readings_and_follow_what_comes_later(database: Database, park: Park) -> None:
    put(park, [(CODE, hours(0.5), 4.0, 192), (CODE, hours(0.25), 2.0, 192), (CODE, hours(0.75), 99.0, 64)])
    put(park, [(CODE, hours(1.5), None, 0)])
    assert await rollups.rebuild(database, hours(1)) == 1
    assert await rollups.rebuild(database) == 1
    assert hourly(park) == [
        (hours(0), 3, 2, 6.0, 2.0, 4.0, 2.0, 4.0, hours(0.5)),
        (hours(1), 1, 0, None, None, None, None, None, None),
    ]
    put(park, [(CODE, hours(0.9), 7.0, 192)])
    assert await rollups.rebuild(database) == 1
    assert hourly(park)[0] == (hours(0), 4, 3, 13.0, 2.0, 7.0, 2.0, 7.0, hours(0.9))
    assert await rollups.rebuild(database) == 0


async def test_a_mark_that_commits_while_the_rollup_runs_is_not_lost(database: Database, park: Park) -> None:
    put(park, [(CODE, hours(0.1), 1.0, 192)])
    async with database.transaction(None, role=Role.INGEST) as tx:  # ingest, not yet committed
        point = park.points[CODE]
        await tx.run(b"INSERT INTO samples VALUES (%(p)s, %(at)s, 2, 192)", {"p": point, "at": hours(0.2)})
        asked = {"p": point, "at": hours(0)}
        await tx.run(b"INSERT INTO dirty_buckets (point_id, bucket) VALUES (%(p)s, %(at)s)", asked)
        assert await rollups.rebuild(database) == 1
    assert hourly(park)[0][1] == 1
    assert await rollups.rebuild(database) == 1
    assert hourly(park)[0][1] == 2


async def test_charts_show_extremes_and_long_ones_come_from_the_rollups(database: Database, park: Park) -> None:
    put(park, [(CODE, hours(n / 4), float(n), 192) for n in range(4 * 24 * 5)])
    await rollups.rebuild(database)
    async with database.transaction(park.organisation, ENGINEER) as tx:
        point = await service.point(tx, CODE)
        day = await service.chart(tx, point, Period(hours(0), hours(24)), buckets=24)
        week = await service.chart(tx, point, Period(hours(0), hours(24 * 7)), buckets=7)
        complete = await service.completeness(tx, Period(hours(0), hours(24 * 10)), park.site)
    assert (len(day), day[1].min, day[1].max, day[1].last, day[1].n) == (24, 4, 7, 7, 4)
    assert [(bucket.at, bucket.min, bucket.max, bucket.last) for bucket in week[:2]] == [
        (hours(0), 0, 95, 95), (hours(24), 96, 191, 191),
    ]  # fmt: skip
    assert len(week) == 5
    [main] = [one for one in complete if one.point == CODE]
    assert (main.hours_good, main.hours, main.readings) == (120, 240, 480)


async def test_readings_are_exported_with_their_quality_and_missing_stays_empty(database: Database, park: Park) -> None:
    put(park, [(CODE, hours(0), 0.1, 192), (CODE, hours(1), None, 0)])
    async with database.transaction(park.organisation, ENGINEER) as tx:
        lines = await service.exported(tx, CODE, Period(hours(0), hours(2)))
    assert export.csv_text(lines) == (
        "point,at,value,unit,quality\n"
        f"{CODE},2026-02-02T00:00:00.000Z,0.1,kWh,good\n"
        f"{CODE},2026-02-02T01:00:00.000Z,,kWh,bad\n"
    )
    assert [line["value"] for line in json.loads(export.json_text(lines))] == [0.1, None]
