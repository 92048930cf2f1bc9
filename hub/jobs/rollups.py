"""Make the rollups again where samples have come in.

The log of marks is gathered so that each hour stands once; marked hours are made from the samples, and mark the local
days that they touch; days are made from hours and, where midnight cuts an hour, from samples.  One hub at a time.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from hub.jobs import rolled_days, rolled_hours
from hub.jobs.nodes import on_nodes
from hub.jobs.rows import MarkedHour
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

MARKS_PER_ROUND = 200_000
ROUNDS_MAX = 40  # per run: a backfill is worked off without holding a transaction open for long
RUNNING_HOURS_MOST = 20_000  # on a hub with more points the running hour is made when it is over
LATE_AFTER = timedelta(minutes=15)  # an hour that only gets readings so long after its end has been filled in
END_OF_TIME = datetime.max.replace(tzinfo=UTC)

Step = Callable[[Transaction], Awaitable[int]]


async def rebuild(database: Database, before: datetime = END_OF_TIME) -> int:
    """Make the marked hours that start before ``before`` again, and their days; give how many hours that were."""
    await gather(database)
    async with database.transaction(None, role=Role.INGEST) as tx:
        spread = await on_nodes(tx)
    await _rounds(database, rolled_days.recut)
    made = await _rounds(database, lambda tx: rolled_hours.make(tx, before, spread=spread))
    await _rounds(database, lambda tx: rolled_days.make(tx, spread=spread))
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
    return await _rounds(database, _gather)


async def _gather(tx: Transaction) -> int:
    last: int | None = await tx.value(SQL["last_mark"], {"most": MARKS_PER_ROUND})
    if last is None:
        return 0
    taken = await tx.all(MarkedHour, SQL["take_marks"], {"last": last, "late_after": LATE_AFTER})
    await tx.run(SQL["count_round"])
    asked = {
        "buckets": [one.bucket for one in taken],
        "points": [one.point_id for one in taken],
        "late": [one.late for one in taken],
    }
    await tx.run(SQL["mark_hours"], asked)
    return sum(one.n for one in taken)


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
