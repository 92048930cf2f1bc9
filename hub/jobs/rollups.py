"""Make the rollups again where samples have come in.

The log of marks is gathered so that each hour stands once; marked hours are made from the samples, and mark the local
days that they touch; days are made from hours and, where midnight cuts an hour, from samples.  One hub at a time.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from hub.jobs.rows import Made, ZoneDay, ZoneHour
from hub.metering.marks import mark
from hub.metering.rows import Mark
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries
from rules.meter.rollup import bounds, days_of

SQL = queries(__package__)

MARKS_PER_ROUND = 200_000
HOURS_PER_ROUND = 5_000
DAYS_PER_ROUND = 5_000
POINTS_PER_ROUND = 100  # of a site whose time zone was changed
ROUNDS_MAX = 40  # per run: a backfill is worked off without holding a transaction open for long
RUNNING_HOURS_MOST = 20_000  # on a hub with more points the running hour is made when it is over
LATE_AFTER = timedelta(minutes=15)  # an hour that only gets readings so long after its end has been filled in
END_OF_TIME = datetime.max.replace(tzinfo=UTC)

Step = Callable[[Transaction], Awaitable[int]]


async def rebuild(database: Database, before: datetime = END_OF_TIME) -> int:
    """Make the marked hours that start before ``before`` again, and their days; give how many hours that were."""
    await gather(database)
    await _rounds(database, _recut)

    async def hours(tx: Transaction) -> int:
        return await _hours(tx, before)

    made = await _rounds(database, hours)
    await _rounds(database, _days)
    return made


async def rebuild_running(database: Database, now: datetime) -> int:
    """Make everything that is marked, the running hour too unless it is too much; give how many hours that were."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    made = await rebuild(database, hour)
    async with database.transaction(None, role=Role.INGEST) as tx:
        running = await tx.value(SQL["count_running"], {"hour": hour, "most": RUNNING_HOURS_MOST + 1})
    return made + (await rebuild(database) if 0 < running <= RUNNING_HOURS_MOST else 0)


async def gather(database: Database) -> int:
    """Let each marked hour stand once; give how many marks there were."""

    async def marks(tx: Transaction) -> int:
        found: int = await tx.value(SQL["gather"], {"most": MARKS_PER_ROUND, "late_after": LATE_AFTER})
        return found

    return await _rounds(database, marks)


async def _rounds(database: Database, step: Step) -> int:
    """Do a step, each time in a transaction that holds the lock of the rollups, until it finds nothing."""
    done = 0
    for _ in range(ROUNDS_MAX):
        async with database.transaction(None, role=Role.INGEST) as tx:
            await tx.run(SQL["hold_rollups"])
            did = await step(tx)
        done += did
        if did == 0:
            break
    return done


async def _hours(tx: Transaction, before: datetime) -> int:
    asked: dict[str, Any] = {"before": before, "most": HOURS_PER_ROUND}
    touched = [
        (hour.timezone, hour.bucket, day)
        for hour in await tx.all(ZoneHour, SQL["hours_to_make"], asked)
        for day in days_of(hour.bucket, _zone(hour.timezone))
    ]
    zones, buckets, days = zip(*touched, strict=True) if touched else ((), (), ())
    asked |= {"zones": [*zones], "buckets": [*buckets], "days": [*days]}
    made = await tx.all(Mark, SQL["rebuild_hours"], asked, afresh=True)
    await mark(tx, made)
    return len(made)


async def _days(tx: Transaction) -> int:
    asked: dict[str, Any] = {"most": DAYS_PER_ROUND}
    found = await tx.all(ZoneDay, SQL["days_to_make"], asked)
    cut = [bounds(one.day, _zone(one.timezone)) for one in found]
    asked |= {
        "zones": [one.timezone for one in found],
        "days": [one.day for one in found],
        "starts": [period.start for period in cut],
        "ends": [period.end for period in cut],
    }
    return sum(made.n for made in await tx.all(Made, SQL["rebuild_days"], asked, afresh=True))


async def _recut(tx: Transaction) -> int:
    """Drop and mark the days of some points of a site whose time zone was changed."""
    done: int | None = await tx.value(SQL["recut_days"], {"most": POINTS_PER_ROUND})
    return done or 0


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
