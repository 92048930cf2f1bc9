"""The care of stored readings: partitions ahead, compaction of what is over, and what goes when its period is over."""

import asyncio
import json
import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import InvalidParameterValue

from hub.errors import UnavailableError
from hub.keeping import definitions, partitions, retention
from hub.leases import service as leases
from hub.store.database import Database, Role
from tests.builders import ENGINEER, Park

# Long over on any day on which this runs, and within one week of either back end.
LONG_AGO = datetime(2010, 3, 2, tzinfo=UTC)
SOME_YEARS_AGO = datetime(2022, 3, 1, tzinfo=UTC)
NOW = datetime(2025, 3, 2, 12, tzinfo=UTC)
COUNTER, LEVEL = "EM-A-MAIN.energy", "EM-A-MAIN.power"


def rows(park: Park, query: str, *asked: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(park.dsns.owner) as connection:
        return connection.execute(query.encode(), asked).fetchall()


def put(park: Park, points: Sequence[int], since: datetime, n: int = 60, *, every: str = "1 min") -> None:
    """Store n readings of each point, as they come: by time."""
    with psycopg.connect(park.dsns.owner) as connection:
        for steps in (0, n - 1):  # they may reach into another week
            connection.execute(
                "SELECT plantroom.ensure_week(((%s::timestamptz + %s * %s::interval) AT TIME ZONE 'UTC')::date)",
                [since, steps, every],
            )
        connection.execute(
            """INSERT INTO samples SELECT p, %s + i * %s::interval, i, 192
               FROM generate_series(0, %s) i, unnest(%s::bigint[]) p ORDER BY i ON CONFLICT DO NOTHING""",
            [since, every, n - 1, list(points)],
        )
        connection.execute(
            """INSERT INTO hourly SELECT p, date_trunc('hour', %s::timestamptz), 1, 1 FROM unnest(%s::bigint[]) p
               ON CONFLICT DO NOTHING""",
            [since, list(points)],
        )


def counted(park: Park, point: str | int, table: str = "samples") -> int:
    found = park.points[point] if isinstance(point, str) else point
    return int(rows(park, f"SELECT count(*) FROM {table} WHERE point_id = %s", found)[0][0])


def record(park: Park) -> list[dict[str, Any]]:
    found = rows(
        park, "SELECT entity_id, details FROM audit_entries WHERE entity = 'readings' ORDER BY entity_id, details::text"
    )
    return [{"what": what, **(json.loads(said) if isinstance(said, str) else said)} for what, said in found]


async def let(database: Database, park: Park, start: date, end: date) -> None:
    """Register the first of the park's leases with another term."""
    lease = park.file.lease[0].model_copy(update={"start": start, "end": end})
    async with database.transaction(park.organisation, ENGINEER) as tx:
        await leases.register(tx, park.site, park.file.model_copy(update={"lease": [lease]}))


async def test_partitions_are_there_ahead_of_time_or_made_when_needed(database: Database, park: Park) -> None:
    await partitions.make_ahead(database, NOW)
    await partitions.make_ahead(database, NOW)
    [(on_hypertable,)] = rows(park, "SELECT plantroom.on_hypertable()")
    made = await partitions.parts(database)
    assert len(made) == (0 if on_hypertable else partitions.WEEKS_AHEAD + 1)
    put(park, [park.points[LEVEL]], NOW + timedelta(weeks=2))
    [last] = [
        part for part in await partitions.parts(database) if part.starts_at <= NOW + timedelta(weeks=2) < part.ends_at
    ]
    assert last.ends_at - last.starts_at == timedelta(weeks=1)


async def test_a_week_that_is_over_is_written_anew_in_the_order_of_its_key(database: Database, park: Park) -> None:
    points = sorted(park.points.values())[:40]
    put(park, points, SOME_YEARS_AGO, 500)
    before = rows(park, "SELECT * FROM samples ORDER BY point_id, at")
    [old] = await partitions.parts(database)
    assert await partitions.compact(database, NOW) == 1
    [new] = await partitions.parts(database)
    assert (old.compacted, new.compacted) == (False, True)
    assert new.bytes < old.bytes
    _, table = new.part.rpartition(".")[1:] if "." in new.part else ("", new.part)
    [(order,)] = rows(
        park, "SELECT correlation FROM pg_stats WHERE tablename = %s AND attname = 'point_id'", table.strip('"')
    )
    assert order == 1
    assert rows(park, "SELECT * FROM samples ORDER BY point_id, at") == before
    assert await partitions.compact(database, NOW) == 0


async def test_late_readings_into_a_compacted_week_are_stored_and_many_compact_it_again(
    database: Database, park: Park
) -> None:
    point = park.points[LEVEL]
    put(park, [point], SOME_YEARS_AGO, 1_000)
    await partitions.compact(database, NOW)
    put(park, [point], SOME_YEARS_AGO, 1_000)  # once more the same
    put(park, [point], SOME_YEARS_AGO + timedelta(seconds=30), 10)
    assert counted(park, LEVEL) == 1_010
    assert await partitions.compact(database, NOW) == 0
    put(park, [point], SOME_YEARS_AGO + timedelta(seconds=15), 2_000, every="10 s")
    assert await partitions.compact(database, NOW) == 1
    assert counted(park, LEVEL) == 1_010 + 2_000


async def test_this_week_and_the_one_just_over_are_not_compacted(database: Database, park: Park) -> None:
    put(park, [park.points[LEVEL]], SOME_YEARS_AGO)
    [part] = await partitions.parts(database)
    assert await partitions.compact(database, part.ends_at + timedelta(days=1)) == 0
    put(park, [park.points[LEVEL]], datetime.now(UTC) + timedelta(days=1))
    coming = (await partitions.parts(database))[-1]
    async with database.transaction(None, role=Role.INGEST) as tx:
        with pytest.raises(InvalidParameterValue, match="is no part of the readings that is over"):
            await tx.value(partitions.SQL["compact"], {"part": coming.part})


async def test_a_part_that_is_in_use_waits_and_the_others_do_not(
    database: Database, park: Park, caplog: pytest.LogCaptureFixture
) -> None:
    put(park, [park.points[LEVEL]], SOME_YEARS_AGO)
    put(park, [park.points[LEVEL]], SOME_YEARS_AGO + timedelta(weeks=1))
    first, _ = await partitions.parts(database)
    caplog.set_level(logging.INFO, "hub.keeping.partitions")
    with psycopg.connect(park.dsns.owner) as reader:
        reader.execute(f"SELECT count(*) FROM {first.part}".encode())
        assert await partitions.compact(database, NOW) == 1
    assert f"{first.part} is in use" in caplog.text
    assert await partitions.compact(database, NOW) == 1


async def test_a_late_reading_that_commits_while_its_week_is_written_anew_is_not_lost(
    database: Database, park: Park
) -> None:
    put(park, [park.points[LEVEL]], SOME_YEARS_AGO, 1_000)
    [old] = await partitions.parts(database)
    with psycopg.connect(park.dsns.owner) as writer:
        writer.execute("INSERT INTO samples VALUES (%s, %s, 7, 192)", [park.points[COUNTER], SOME_YEARS_AGO])
        compaction = asyncio.create_task(partitions.compact(database, NOW))
        while not compaction.done() and not rows(park, "SELECT FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await compaction
    assert (counted(park, LEVEL), counted(park, COUNTER)) == (1_000, 1)
    await partitions.compact(database, NOW)
    [new] = await partitions.parts(database)
    assert (new.starts_at, new.ends_at, new.compacted) == (old.starts_at, old.ends_at, True)
    assert (counted(park, LEVEL), counted(park, COUNTER)) == (1_000, 1)


async def test_levels_go_after_their_period_and_meters_stay_and_each_step_is_recorded(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP_POINTS", 3)
    levels = [key for code, key in park.points.items() if code.endswith(".power")][:5]
    put(park, [*levels, park.points[COUNTER]], SOME_YEARS_AGO)
    put(park, levels, NOW - timedelta(days=200))
    removed = await retention.run(database, NOW)
    assert (removed.parts, removed.readings, removed.left) == (0, 5 * 60, False)
    assert counted(park, COUNTER) == 60
    assert [counted(park, key) for key in levels] == [60] * 5
    assert [counted(park, key, "hourly") for key in levels] == [2] * 5
    assert [(one["what"], one["class"], one["rows"]) for one in record(park)] == [
        ("samples", "levels", 120), ("samples", "levels", 180),
    ]  # fmt: skip
    assert (await retention.run(database, NOW)).readings == 0


async def test_a_run_ends_after_its_steps_and_the_next_goes_on(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP_POINTS", 1)
    monkeypatch.setattr(retention, "STEPS_MAX", 2)
    levels = [key for code, key in park.points.items() if code.endswith(".power")][:3]
    put(park, [*levels, park.points[COUNTER]], SOME_YEARS_AGO)
    first, second = await retention.run(database, NOW), await retention.run(database, NOW)
    assert (first.readings, first.left, second.readings, second.left) == (120, True, 60, False)


async def test_a_week_of_which_nothing_must_stay_is_dropped_whole(database: Database, park: Park) -> None:
    put(park, [park.points[LEVEL], park.points[COUNTER]], LONG_AGO)
    put(park, [park.points[COUNTER]], LONG_AGO + timedelta(weeks=1), 7)
    put(park, [park.points[COUNTER]], SOME_YEARS_AGO)
    removed = await retention.run(database, NOW)
    assert (removed.parts, removed.readings) == (2, 127)
    assert counted(park, COUNTER) == 60
    assert [(one["rows"], one["whole"]) for one in record(park) if one["what"] == "samples"] == [(120, True), (7, True)]
    assert len(await partitions.parts(database)) == 1
    assert counted(park, LEVEL, "hourly") == 0


async def test_what_a_lease_or_a_bill_rests_on_stays_longer_than_its_class_says(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    await let(database, park, LONG_AGO.date(), date(2012, 12, 31))
    put(park, [park.points[LEVEL], park.points[COUNTER]], LONG_AGO)
    put(park, [park.points[COUNTER]], LONG_AGO - timedelta(days=70))  # before there was any lease
    removed = await retention.run(database, NOW)
    assert (removed.parts, removed.readings) == (1, 120)
    assert (counted(park, LEVEL), counted(park, COUNTER)) == (0, 60)
    shipped = definitions.retention(NOW.date())
    shorter = shipped.model_copy(update={"papers": 400})  # then the papers themselves have had their time
    monkeypatch.setattr(retention.definitions, "retention", lambda _day: shorter)
    assert (await retention.run(database, NOW)).readings == 60


async def test_a_clock_that_is_ahead_of_the_database_removes_nothing(database: Database, park: Park) -> None:
    put(park, [park.points[LEVEL]], LONG_AGO)
    with pytest.raises(UnavailableError, match="ahead of the database's"):
        await retention.run(database, datetime.now(UTC) + timedelta(days=2))
    assert counted(park, LEVEL) == 60


async def test_points_that_nobody_knows_and_those_of_others_hold_up_a_part(database: Database, park: Park) -> None:
    put(park, [park.points[LEVEL], 999_999], LONG_AGO)
    removed = await retention.run(database, NOW)
    assert (removed.parts, removed.readings) == (0, 60)
    assert (counted(park, LEVEL), counted(park, 999_999)) == (0, 60)


async def test_a_part_in_use_is_dropped_by_a_later_run(database: Database, park: Park) -> None:
    put(park, [park.points[LEVEL]], LONG_AGO)
    [part] = await partitions.parts(database)
    with psycopg.connect(park.dsns.owner) as reader:
        reader.execute(f"SELECT count(*) FROM {part.part}".encode())
        assert (await retention.run(database, NOW)).readings == 0
    assert (await retention.run(database, NOW)).parts == 1


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("remove_samples", {"points": [1], "since": LONG_AGO, "until": datetime.max.replace(tzinfo=UTC), "most": 9}),
        ("remove_rollups", {"series": "hourly", "points": [1], "before": datetime.max.replace(tzinfo=UTC), "most": 9}),
    ],
)
async def test_the_database_itself_refuses_to_remove_what_is_young(
    database: Database, query: str, asked: dict[str, Any]
) -> None:
    async with database.transaction(None, role=Role.INGEST) as tx:
        with pytest.raises(InvalidParameterValue, match="last 90 days"):
            await tx.value(retention.SQL[query], asked)


async def test_a_part_is_only_what_is_listed_and_only_ingest_may_ask(database: Database, park: Park) -> None:
    put(park, [park.points[LEVEL]], datetime.now(UTC).replace(hour=12))
    [part] = await partitions.parts(database)
    for name in ("organisations", "public.points; DROP TABLE points", str(uuid4())):
        async with database.transaction(None, role=Role.INGEST) as tx:
            with pytest.raises(psycopg.Error):
                await tx.run(retention.SQL["drop_part"], {"part": name, "gone": [1]})
    async with database.transaction(None, role=Role.INGEST) as tx:
        with pytest.raises(InvalidParameterValue, match="last 90 days"):
            await tx.run(retention.SQL["drop_part"], {"part": part.part, "gone": [park.points[LEVEL]]})
    async with database.transaction(park.organisation, ENGINEER) as tx:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await tx.run(retention.SQL["drop_part"], {"part": part.part, "gone": [1]})
