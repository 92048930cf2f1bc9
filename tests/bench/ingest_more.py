"""What the write path does with history, and with many rows that are stored already."""

import asyncio
from pathlib import Path

import psycopg

from tests.bench.edges import Load
from tests.bench.ingest import GATEWAYS, SITES, WORKERS, Ground, ground
from tests.bench.row import Row

DEVICES, POINTS, ROUNDS = 63, 12, 10
BACKFILL_DEVICES, BACKFILL_DAYS, STEP_MS, PER_FRAME = 42, 62, 900_000, 40  # 504 points, every 15 min
BACKFILL_BAR, ROWS_BAR = 0.5, 0.9
ROWS, ROWS_AT_ONCE, FILL_WEEKS = 50_000_000, 1_000_000, 20

LATEST = "SELECT md5(string_agg(point_id || ' ' || at || ' ' || value, ',' ORDER BY point_id)) FROM latest"
ALARMS = "SELECT count(*) FROM alarms"


def _one(owner: str, query: str) -> object:
    with psycopg.connect(owner) as connection:
        ((found,),) = connection.execute(query.encode()).fetchall()
        return found


async def _rate(made: Ground, load: Load) -> float:
    async with made.edges(load) as edges:
        await made.points_known(SITES * GATEWAYS * DEVICES * POINTS)
        said = await edges.all_of_it()
    return said["readings"] / said["took_s"]


async def backfill(folder: Path) -> list[Row]:
    """62 days of 500 points through the real wire, against the live rate of the same hub."""
    async with ground(folder, devices=DEVICES) as made, made.hub("--workers", str(WORKERS)):
        load = made.load(ROUNDS)
        live = await _rate(made, load)
        before = [_one(made.there.owner, query) for query in (LATEST, ALARMS)]
        rounds = BACKFILL_DAYS * 96 // PER_FRAME * PER_FRAME
        begin_ms = load.begin_ms - (rounds + 1) * STEP_MS
        old = Load(
            load.host, load.port, load.username, load.password, 1, 1, BACKFILL_DEVICES, POINTS, rounds,
            begin_ms, STEP_MS, rounds_per_frame=PER_FRAME, historical=True, first_number=load.frames_per_gateway + 1,
        )  # fmt: skip
        rate = await _rate(made, old)
        after = [_one(made.there.owner, query) for query in (LATEST, ALARMS)]
        stored = _one(made.there.owner, "SELECT count(*) FROM samples")
    moved = float(before != after) + float(stored != load.readings + old.readings)
    return [
        Row(
            f"ingest: backfill of {old.readings:,} readings of {BACKFILL_DAYS} days, against the live rate",
            round(rate), round(live), "readings/s", f">= {BACKFILL_BAR} of live", rate >= BACKFILL_BAR * live,
        ),
        Row("ingest: latest or alarms that a backfill has moved, or readings that lack", moved, 1, "", "0", moved == 0),
    ]  # fmt: skip


FILL = """
INSERT INTO samples (point_id, at, value, quality)
SELECT {point} + n % 1000, timestamptz '{begin}' + n / 1000 * interval '1 min', n % 100, 192
FROM generate_series(0::bigint, {count} - 1) n
"""


def _fill(owner: str, first: int, count: int) -> None:
    """Store rows of points that nobody else has, over months that are over."""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(
            "SELECT plantroom.ensure_week((now() - n * interval '7 days')::date) FROM generate_series(0, 60) n"
        )
        ((begin,),) = connection.execute(f"SELECT now() - interval '{FILL_WEEKS} weeks'").fetchall()  # type: ignore[arg-type]
        for number in range(count // ROWS_AT_ONCE):
            point = 10_000_000 + first // 1_000 + number * 1_000
            connection.execute(FILL.format(point=point, begin=begin, count=ROWS_AT_ONCE).encode())


async def rows(folder: Path) -> list[Row]:
    """The same load on a table of a million rows and on one of fifty."""
    async with ground(folder, devices=DEVICES) as made, made.hub("--workers", str(WORKERS)):
        await asyncio.to_thread(_fill, made.there.owner, 0, ROWS_AT_ONCE)
        load = made.load(ROUNDS)
        few = await _rate(made, load)
        await asyncio.to_thread(_fill, made.there.owner, ROWS_AT_ONCE, ROWS - ROWS_AT_ONCE)
        later = made.load(ROUNDS, first_number=load.frames_per_gateway + 1)
        many = await _rate(made, later)
    return [
        Row(
            f"ingest: rate with {ROWS / 1e6:.0f} million rows stored, against a million", round(many), round(few),
            "readings/s", f">= {ROWS_BAR} of it", many >= ROWS_BAR * few,
        )
    ]  # fmt: skip
