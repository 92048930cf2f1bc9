"""Write samples: idempotently by (point, at), with latest and the marks for the rollups."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation

from hub.ingest.rows import Moved
from hub.ingest.samples import Columns, moment
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)


async def make_weeks(database: Database, samples: Columns, weeks: Collection[datetime]) -> set[datetime]:
    """Make sure of the partitions of samples, each in a transaction of its own; give the weeks beyond ``weeks``.

    Apart from the batch: the owner makes a partition, and where the series are spread over several nodes no other role
    can write to a table that its own transaction has made.
    """
    made = {week for week in samples.weeks() if week not in weeks}
    for week in sorted(made):
        async with database.transaction(None, role=Role.INGEST) as tx:
            await tx.run(SQL["ensure_week"], {"week": week.date()})
    return made


async def store(tx: Transaction, samples: Columns) -> int:
    """Store what is not there yet; give how many rows that were.

    Optimistic: a plain COPY, which is twice as fast, and only when a row is there already through a staging table.
    """
    data = samples.copy_bytes()
    try:
        async with tx.connection.transaction():
            await _copy(tx, SQL["copy_samples"], data)
    except UniqueViolation:
        await tx.run(SQL["make_staging"])
        await _copy(tx, SQL["copy_staging"], data)
        return await tx.run(SQL["store_staged"])
    return len(samples)


async def move_latest(tx: Transaction, samples: Columns) -> dict[int, datetime | None]:
    """Move latest on where a sample is newer; give the points that moved, and from when (None: it is their first)."""
    newest = samples.newest()
    values = [None if value != value else value for value in samples.value[newest].tolist()]  # noqa: PLR0124  nan
    asked: dict[str, Any] = {
        "points": samples.point[newest].tolist(),
        "ats": [moment(us) for us in samples.at[newest].tolist()],
        "values": values,
        "qualities": samples.quality[newest].tolist(),
    }
    return {moved.point_id: moved.before for moved in await tx.all(Moved, SQL["move_latest"], asked)}


async def mark_dirty(tx: Transaction, samples: Columns) -> None:
    """Mark the hours that the rollups must make again."""
    points, hours = samples.hours()
    await tx.run(SQL["mark_dirty"], {"points": points, "hours": hours})


async def _copy(tx: Transaction, statement: bytes, data: bytes) -> None:
    async with tx.connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(data)
