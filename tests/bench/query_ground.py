"""Twenty million readings: 10,000 points over thirty days, with their rollups; and a year of hours of some."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
from psycopg.conninfo import make_conninfo

from deploy.postgres import Postgres, create_database
from hub.ingest.samples import Columns, micros
from hub.store.database import Database
from hub.store.migrate import migrate
from rules.model.period import midnight
from tests.builders import Dsns, Park, register_park, site_file

HUB_PASSWORD = "only for benches"
ZONE = ZoneInfo("Asia/Shanghai")
FIRST, DAYS = date(2026, 3, 2), 32  # 30 days, and one on each side for their midnights
DEVICES = 5_000  # with two points each
READINGS = 2_000  # of a point in 30 days, so 20 million of all
YEARLY = 50  # points that have a year of hours
START = midnight(FIRST - timedelta(days=1), ZONE)
SPACING = timedelta(days=30) / READINGS

POINTS = f"""
INSERT INTO devices (organisation_id, site_id, gateway_id, space_id, code, name_zh, name_en, profile, role, commodity)
SELECT d.organisation_id, d.site_id, d.gateway_id, d.space_id, 'X-' || n, 'x', 'X', d.profile, d.role, d.commodity
FROM generate_series(1, {DEVICES}) n, (SELECT * FROM devices WHERE code = 'EM-A-MAIN') d;
INSERT INTO points (organisation_id, site_id, device_id, code, measure, kind, unit, resolution, modulus)
SELECT organisation_id, site_id, id, code || '.' || measure, measure, kind, unit, 0.1, modulus
FROM devices, (VALUES ('energy', 'counter', 'kWh', 1000000), ('power', 'gauge', 'kW', NULL))
              AS m (measure, kind, unit, modulus)
WHERE code LIKE 'X-%';
"""
# What the job would make, in one statement each: all is good and evenly spaced, so each hour is covered.
HOURS = """
INSERT INTO hourly (point_id, bucket, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral)
SELECT point_id, date_trunc('hour', at, 'UTC'), count(*), count(*), sum(value), min(value), max(value), min(value),
       min(at), max(value), max(at), 3600, avg(value) * 3600
FROM samples GROUP BY 1, 2
"""
YEAR = """
INSERT INTO hourly (point_id, bucket, n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral)
SELECT p, %(start)s::timestamptz - h * interval '1 hour', 3, 3, h, h, h, h, now(), h, now(), 3600, h
FROM unnest(%(points)s::bigint[]) p, generate_series(1, 366 * 24) h
"""
DAYS_OF_THEM = """
INSERT INTO daily (point_id, day, starts_at, ends_at, n, good_n, sum, min, max, first, first_at, last, last_at,
                   covered_s, integral, falls, late_s)
SELECT point_id, day, day::timestamp AT TIME ZONE 'Asia/Shanghai', (day + 1)::timestamp AT TIME ZONE 'Asia/Shanghai',
       n, n, sum, min, max, min, first_at, max, last_at, covered_s, integral, 0, 0
FROM (SELECT point_id, (bucket AT TIME ZONE 'Asia/Shanghai')::date AS day, sum(n) AS n, sum(sum) AS sum,
             min(min) AS min, max(max) AS max, min(first_at) AS first_at, max(last_at) AS last_at,
             sum(covered_s) AS covered_s, sum(integral) AS integral
      FROM hourly WHERE bucket >= %(start)s GROUP BY 1, 2) h
"""
LATEST = """
INSERT INTO latest (point_id, at, value, quality)
SELECT point_id, max(last_at), max(max), 192 FROM daily GROUP BY 1
"""


@dataclass(frozen=True)
class Ground:
    """The filled database: in users' transactions, and by its owner without walls; ``rows`` readings."""

    database: Database
    owner: str
    park: Park
    counters: list[int]
    points: list[int]
    yearly: list[str]
    rows: int
    filled_s: float


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """Give the ground; some three minutes, some 4 GB."""
    server = Postgres(folder / "postgres")
    server.start()
    try:
        create_database(server.dsn_of("postgres"), "query")
        owner = make_conninfo(server.dsn_of("query"), options="-c search_path=public -c timezone=UTC")
        migrate(owner, HUB_PASSWORD)
        database = Database(make_conninfo(owner, user="plantroom_hub", password=HUB_PASSWORD, options=""))
        await database.open()
        try:
            park = await register_park(database, Dsns(owner, ""), site_file())
            yield _filled(database, owner, park)
        finally:
            await database.close()
    finally:
        server.stop()


def _filled(database: Database, owner: str, park: Park) -> Ground:
    begun = time.perf_counter()
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SET work_mem = '256MB'")
        connection.execute(POINTS.encode())
        found = connection.execute("SELECT id, code, kind FROM points WHERE code LIKE 'X-%' ORDER BY id").fetchall()
        points = [key for key, _, _ in found]
        rows = _copy(connection, points)
        asked = {"start": START, "points": points[:YEARLY]}
        for statement in (HOURS, YEAR, DAYS_OF_THEM, LATEST):
            connection.execute(statement.encode(), asked if "%(" in statement else None)
        for table in ("samples", "hourly", "daily", "latest", "points", "devices"):
            connection.execute(f"VACUUM ANALYZE {table}".encode())
    counters = [key for key, _, kind in found if kind == "counter"][:1_000]
    took = time.perf_counter() - begun
    return Ground(database, owner, park, counters, points, [code for _, code, _ in found[:YEARLY]], rows, took)


def _copy(connection: psycopg.Connection[tuple[object, ...]], points: list[int]) -> int:
    """Copy the readings in as they would come, moment by moment, a day at a time."""
    ids = np.array(points, np.int64)
    stored = 0
    for start in range(0, round(timedelta(days=DAYS) / SPACING), 66):
        moments = np.arange(start, start + 66)
        point = np.tile(ids, len(moments))
        place = np.repeat(moments, len(ids))
        at = micros(START) + place * int(SPACING.total_seconds() * 1e6) + point % 1_200 * 1_000_000
        value = (point % 977) + place * (1 + point % 7) / 10
        day = Columns(point, at, value, np.full(len(point), 192, np.int16), np.ones(len(point), bool))
        for week in day.weeks():
            connection.execute("SELECT plantroom.ensure_week(%s)", [week.date()])
        with connection.cursor() as cursor, cursor.copy(
            "COPY samples (point_id, at, value, quality) FROM STDIN (FORMAT binary)"
        ) as copy:  # fmt: skip
            copy.write(day.copy_bytes())
        stored += len(point)
    return stored


def year() -> tuple[datetime, datetime]:
    """Give the year before the thirty days."""
    return START - timedelta(days=365), START.astimezone(UTC)
