"""What the overlay of corrections costs reads and rollups, without and with a thousand corrected readings of a point.

Ours read through the views that know corrections, the other the same statements over what was measured alone.
"""

import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.postgres import Postgres, create_database
from hub.billing.rows import StoredReading
from hub.readings.rows import Bucket, Measured
from hub.store.database import Database, Role
from hub.store.migrate import migrate
from hub.store.sql import queries
from rules.model.quality import USABLE
from tests.bench.bare import HUB_PASSWORD
from tests.bench.row import Row, at_most
from tests.builders import ENGINEER, Dsns, Park, register_park, site_file

START = datetime(2026, 9, 1, tzinfo=UTC)
DAYS, POINTS, AMENDED = 30, 20, 1_000
ROUNDS = 60
BAR_PERCENT, BAR_AMENDED_PERCENT = 25.0, 150.0  # a short question pays for a longer plan, not for its rows
FILL = """
INSERT INTO samples SELECT p.id, %(start)s + n * interval '1 min', n, 192
FROM (SELECT id FROM points ORDER BY id LIMIT %(points)s) p, generate_series(0, %(count)s) n
"""
AMEND = """
WITH one AS (SELECT id, organisation_id, code FROM points WHERE id = %(point)s), made AS (
    INSERT INTO corrections (id, organisation_id, number, point_id, point, kind, first_at, last_at, lines, digest,
                             reason, billing, bills, effect, asked_by, asked_at, state, in_force_by, in_force_at)
    SELECT gen_random_uuid(), organisation_id, 1, id, code, 'replace', now(), now(), 1, '', 'r', false, '{}', '[]', 'x',
           now(), 'in_force', 'x', now() FROM one RETURNING id, organisation_id, point_id)
INSERT INTO amendments SELECT organisation_id, point_id, %(start)s + n * interval '40 min', n, 216, id
FROM made, generate_series(1, %(count)s) n
"""
Work = Callable[[str], Awaitable[object]]


async def measure(folder: Path) -> list[Row]:
    """Measure both, on a park of its own."""
    server = Postgres(folder / "postgres")
    server.start()
    try:
        create_database(server.dsn_of("postgres"), "overlay")
        owner = make_conninfo(server.dsn_of("overlay"), options="-c search_path=public")
        migrate(owner, HUB_PASSWORD)
        database = Database(make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD, options=""))
        await database.open()
        try:
            return await _measured(database, await register_park(database, Dsns(owner, ""), site_file()), owner)
        finally:
            await database.close()
    finally:
        server.stop()


async def _measured(database: Database, park: Park, owner: str) -> list[Row]:
    with psycopg.connect(owner, autocommit=True) as connection:
        for week in range(-1, 6):
            connection.execute("SELECT plantroom.ensure_week(%s)", [(START + timedelta(weeks=week)).date()])
        asked = {"start": START, "points": POINTS, "count": DAYS * 1_440}
        connection.execute(FILL.encode(), asked)
        connection.execute("VACUUM ANALYZE")
        (point, other) = (row[0] for row in connection.execute("SELECT id FROM points ORDER BY id LIMIT 2").fetchall())
        rows = [await _over(name, work, BAR_PERCENT) for name, work in _works(database, park, point).items()]
        connection.execute(AMEND.encode(), {"point": point, "start": START, "count": AMENDED})
        connection.execute("UPDATE points SET amended = true WHERE id = %s", [point])
        connection.execute("VACUUM ANALYZE")
        for who, named, bar in ((point, "a point with 1,000 amendments", BAR_AMENDED_PERCENT),
                                (other, "its neighbour", BAR_PERCENT)):  # fmt: skip
            work = _works(database, park, who)
            rows += [await _over(f"{named}, {name}", work[name], bar) for name in ("day of readings", "month to bill")]
        return rows


def _works(database: Database, park: Park, point: int) -> dict[str, Work]:
    reads, bills, jobs = (queries(f"hub.{name}") for name in ("readings", "billing", "jobs"))
    day = {"point": point, "start": START + timedelta(days=9), "end": START + timedelta(days=10), "most": 100_000,
           "good": list(USABLE), "step": timedelta(minutes=3)}  # fmt: skip
    month = {"point": point, "since": START, "until": START + timedelta(days=DAYS), "good": list(USABLE)}

    def read(row: type, query: bytes, asked: dict[str, Any]) -> Work:
        async def once(view: str) -> None:
            text = query.replace(b"FROM readings", b"FROM original_readings") if view == "original" else query
            async with database.transaction(park.organisation, ENGINEER) as tx:
                await tx.all(row, text, asked)

        return once

    async def rebuild(view: str) -> None:
        query = jobs["rebuild_hours"]
        if view == "original":
            query = query.replace(b"effective_samples", b"samples")
        async with database.transaction(None, role=Role.INGEST) as tx:
            await tx.run(
                b"""INSERT INTO dirty_buckets (point_id, bucket)
                    SELECT p, %(start)s + n * interval '1 h' FROM generate_series(%(point)s::bigint, %(point)s + 9) p,
                           generate_series(0, 47) n""",
                {"start": START, "point": point},
            )
            await tx.run(query, {"before": START + timedelta(days=999), "most": 5_000, "good": list(USABLE)})

    return {
        "day of readings": read(Measured, reads["series"], day),
        "day's chart": read(Bucket, reads["chart_of_readings"], day),
        "last good before": read(Measured, reads["last_good_before"], day),
        "month to bill": read(StoredReading, bills["usable_readings"], month),
        "480 hours made again": rebuild,
    }


async def _over(name: str, work: Work, bar: float) -> Row:
    took: dict[str, list[float]] = {"standing": [], "original": []}
    for n in range(ROUNDS):
        for view in took if n % 2 else reversed(took):
            begun = time.perf_counter()
            await work(view)
            took[view].append(time.perf_counter() - begun)
    pairs = list(zip(took["standing"], took["original"], strict=True))[ROUNDS // 10 :]
    ours, theirs = (statistics.median(times) * 1_000 for times in zip(*pairs, strict=True))
    said = f"overlay, {name}: {ours:.2f} ms, {theirs:.2f} ms without"
    return at_most(said, (statistics.median(one / two for one, two in pairs) - 1) * 100, bar, "% more")
