"""Rollups equal what rules/meter/rollup.py makes of the samples, however these arrived; days follow the site's zone."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest

from hub.jobs import rollups
from hub.store.database import Database, Transaction
from rules.meter.rollup import HOUR, Rollup, roll, roll_day
from rules.model.period import Period
from rules.model.quality import Quality
from rules.model.reading import Reading
from tests.builders import Park

ZONES = [
    "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Berlin", "Atlantic/Azores",
    "America/Havana", "Asia/Beirut", "Pacific/Chatham",
]  # fmt: skip
# Around days on which clocks go forward or back somewhere.
WINDOWS = [
    datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 7), (3, 28), (4, 4), (10, 3), (10, 24), (10, 31))
]
WINDOW = timedelta(days=3)
COLUMNS = "n, good_n, sum, min, max, first, first_at, last, last_at, covered_s, integral, falls"
ADDED_UP = ("sum", "covered_s", "integral")  # in whatever order
SPACINGS_S = (7, 60, 300, 900, 1800, 3600, 7000)


def course(rng: random.Random, code: str, start: datetime) -> Iterator[Reading]:
    """A course with bursts, pauses, bad readings, falls, and readings on the very hour."""
    at, value = start, 0.0
    while at < start + WINDOW:
        for _ in range(rng.randrange(1, 12)):
            quality = rng.choices(list(Quality), (1, 1, 12, 1, 1))[0]
            value = rng.choice([value + rng.randrange(5), value, 0.0, value / 2])
            yield Reading(code, at, None if quality is Quality.BAD else value, quality)
            at += timedelta(seconds=rng.choice(SPACINGS_S), milliseconds=rng.choice([0, 0, 1, 999]))
        at += timedelta(seconds=rng.choice([0, 5_000, 40_000]))
        if rng.random() < 0.5:
            at = at.replace(minute=0, second=0, microsecond=0) + HOUR


def arrive(park: Park, readings: Iterable[Reading]) -> None:
    """Store readings as ingest does: what is there stays, and every hour is marked."""
    with psycopg.connect(park.dsns.owner) as connection, connection.cursor() as cursor:
        rows = [(park.points[r.point], r.at, r.value, int(r.quality)) for r in readings]
        cursor.executemany("INSERT INTO samples VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING", rows)
        marks = {(point, at.replace(minute=0, second=0, microsecond=0)) for point, at, _, _ in rows}
        cursor.executemany("INSERT INTO dirty_buckets (point_id, bucket) VALUES (%s, %s)", list(marks))


def stored(park: Park, table: str, key: str) -> dict[tuple[int, object], Rollup]:
    with psycopg.connect(park.dsns.owner, options="-c timezone=UTC") as connection:
        rows = connection.execute(f"SELECT point_id, {key}, {COLUMNS} FROM {table}".encode()).fetchall()
    return {(point, bucket): Rollup(*rest) for point, bucket, *rest in rows}


def agree(found: dict[tuple[int, object], Rollup], wanted: dict[tuple[int, object], Rollup]) -> None:
    assert found.keys() == wanted.keys()
    for key, one in wanted.items():
        for name in Rollup.__slots__:
            got, meant = getattr(found[key], name), getattr(one, name)
            if name in ADDED_UP and meant is not None:
                meant = pytest.approx(meant, rel=1e-7, abs=1e-4)
            assert got == meant, (key, name)


def weeks(park: Park) -> None:
    with psycopg.connect(park.dsns.owner) as connection:
        for start in WINDOWS:
            for ahead in range(-1, 2):
                connection.execute("SELECT plantroom.ensure_week(%s)", [(start + ahead * timedelta(weeks=1)).date()])


def set_zone(park: Park, zone: str) -> None:
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("ALTER TABLE sites NO FORCE ROW LEVEL SECURITY")
        assert connection.execute("UPDATE sites SET timezone = %s", [zone]).rowcount == 1
        connection.execute("ALTER TABLE sites FORCE ROW LEVEL SECURITY")


@pytest.mark.parametrize(("seed", "spread"), [(1, False), (2, False), (3, True)])
async def test_rollups_equal_a_recomputation_whatever_came_when_and_in_whatever_zone(
    database: Database, park: Park, monkeypatch: pytest.MonkeyPatch, seed: int, spread: bool
) -> None:
    """``spread``: by the way over temporary tables that several nodes want, here on one server."""

    async def told(_: Transaction) -> bool:
        return spread

    monkeypatch.setattr(rollups, "on_nodes", told)
    rng = random.Random(seed)
    weeks(park)
    codes = rng.sample(sorted(park.points), len(WINDOWS))
    held = {code: list(course(rng, code, start)) for code, start in zip(codes, WINDOWS, strict=True)}
    arrivals = [reading for readings in held.values() for reading in readings]
    rng.shuffle(arrivals)
    for part in range(4):  # some come twice, and the rollups are made in between
        arrive(park, arrivals[part::4] + rng.sample(arrivals[part::4], 5))
        await rollups.rebuild(database, rollups.END_OF_TIME if part % 2 else WINDOWS[2])
    agree(
        stored(park, "hourly", "bucket"),
        {
            (park.points[code], hour): rolled
            for code, readings in held.items()
            for hour in {r.at.replace(minute=0, second=0, microsecond=0) for r in readings}
            if (rolled := roll(readings, Period(hour, hour + HOUR))) is not None
        },
    )
    for zone in ZONES:
        set_zone(park, zone)
        await rollups.rebuild(database)
        agree(stored(park, "daily", "day"), dict(days_of_all(park, held, ZoneInfo(zone))))


def days_of_all(
    park: Park, held: dict[str, list[Reading]], zone: ZoneInfo
) -> Iterator[tuple[tuple[int, object], Rollup]]:
    for code, readings in held.items():
        for day in {r.at.astimezone(zone).date() for r in readings}:
            rolled = roll_day(readings, day, zone)
            assert rolled is not None
            yield (park.points[code], day), rolled


async def test_a_day_knows_its_own_length(database: Database, park: Park) -> None:
    weeks(park)
    code = min(park.points)
    arrive(park, [Reading(code, WINDOWS[1] + n * HOUR, 1.0, Quality.GOOD) for n in range(72)])
    await rollups.rebuild(database)
    set_zone(park, "Europe/Berlin")
    await rollups.rebuild(database)
    with psycopg.connect(park.dsns.owner) as connection:
        rows = connection.execute("SELECT day, ends_at - starts_at, covered_s FROM daily ORDER BY day").fetchall()
    assert (date(2026, 3, 29), timedelta(hours=23), 23 * 3600.0) in rows


async def test_an_hour_that_is_filled_in_long_afterwards_says_so(database: Database, park: Park) -> None:
    weeks(park)
    code = min(park.points)
    arrive(park, [Reading(code, WINDOWS[0] + timedelta(minutes=n), 1.0, Quality.GOOD) for n in range(30)])
    with psycopg.connect(park.dsns.owner) as connection:
        connection.execute("UPDATE dirty_buckets SET marked_at = %s", [WINDOWS[0]])
    await rollups.rebuild(database)
    arrive(park, [Reading(code, WINDOWS[0] + timedelta(minutes=n), 1.0, Quality.GOOD) for n in range(30, 60)])
    await rollups.rebuild(database)
    with psycopg.connect(park.dsns.owner) as connection:
        [(covered, late, when)] = connection.execute("SELECT covered_s, late_s, late_at FROM hourly").fetchall()
        days = connection.execute("SELECT late_s FROM daily").fetchall()
    assert (covered, late) == (3600, 3600 - 29 * 60 - 90)
    assert when is not None
    assert days == [(late,)]
