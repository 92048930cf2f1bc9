"""Write samples: idempotently by (point, at), with latest and the marks for the rollups."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from psycopg.errors import DuplicateTable, UniqueViolation

from hub.ingest.rows import Moved
from hub.ingest.samples import HOUR_US, Columns
from hub.store.arrays import Bigints, Doubles, Smallints, Times
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)
HOURS_MAX = 2**23  # 957 years
MARKS_KEPT = 500_000
NOTHING: NDArray[np.int64] = np.array([], np.int64)
STAGED_BATCHES = 8  # after a batch that held what is stored already: more such will follow


@dataclass(slots=True)
class Way:
    """Which way samples take: a plain COPY, or a staging table where some may be stored already."""

    staged: int = 0  # batches that still go through it

    async def store(self, tx: Transaction, samples: Columns) -> int:
        """Store what is not there yet; give how many rows that were."""
        data = samples.copy_bytes()
        if self.staged:
            stored = await _staged(tx, data)
            self.staged = STAGED_BATCHES if stored < len(samples) else self.staged - 1
            return stored
        try:
            async with tx.connection.transaction():
                await _copy(tx, SQL["copy_samples"], data)
        except UniqueViolation:
            self.staged = STAGED_BATCHES
            return await _staged(tx, data)
        return len(samples)


async def make_weeks(database: Database, samples: Columns, weeks: Collection[datetime]) -> set[datetime]:
    """Make sure of the partitions of samples, each in a transaction of its own; give the weeks beyond ``weeks``.

    Apart from the batch: the owner makes a partition, and where the series are spread over several nodes no other role
    can write to a table that its own transaction has made.
    """
    made = {week for week in samples.weeks() if week not in weeks}
    for week in sorted(made):
        with suppress(DuplicateTable):  # another worker made it at this moment
            async with database.transaction(None, role=Role.INGEST) as tx:
                await tx.run(SQL["ensure_week"], {"week": week.date()})
    return made


async def store(tx: Transaction, samples: Columns) -> int:
    """Store what is not there yet, once; gives how many rows that were."""
    return await Way().store(tx, samples)


async def mark_dirty(tx: Transaction, samples: Columns) -> None:
    """Mark the hours that the rollups must make again, once."""
    await Marks().write(tx, samples)


async def _staged(tx: Transaction, data: bytes) -> int:
    await tx.run(SQL["make_staging"])
    await _copy(tx, SQL["copy_staging"], data)
    return await tx.run(SQL["store_staged"])


async def move_latest(tx: Transaction, samples: Columns) -> dict[int, datetime | None]:
    """Move latest on where a sample is newer; give the points that moved, and from when (None: it is their first)."""
    if not len(samples):
        return {}
    found = await tx.all(Moved, SQL["move_latest"], _newest(samples))
    return {moved.point_id: moved.before for moved in found}


async def push_latest(tx: Transaction, samples: Columns) -> int:
    """Do the same where nobody asks which points moved; give how many did."""
    return await tx.run(SQL["push_latest"], _newest(samples)) if len(samples) else 0


def _newest(samples: Columns) -> dict[str, object]:
    newest = samples.newest()
    return {
        "points": Bigints(samples.point[newest]),
        "ats": Times(samples.at[newest]),
        "values": Doubles(samples.value[newest]),
        "qualities": Smallints(samples.quality[newest]),
    }


@dataclass(slots=True)
class Marks:
    """The hours that the rollups must make again, each marked once for as long as nobody has taken the mark.

    A mark still counts when no round of the rollups has taken any since, and none can until this transaction is over:
    the rounds hold a lock, of which this one holds a share (see migration 0021).
    """

    round: int | None = None
    marked: NDArray[np.int64] = field(default_factory=lambda: NOTHING)

    async def write(self, tx: Transaction, samples: Columns) -> "Marks":
        """Mark what is not marked; give what is marked once the transaction has been committed."""
        points, hours = samples.hours()
        touched = points * HOURS_MAX + hours
        now: int | None = await tx.value(SQL["hold_round"])
        known = self.marked if now is not None and now == self.round else NOTHING
        missing = ~np.isin(touched, known, assume_unique=True) if len(known) else np.ones(len(touched), bool)
        if missing.any():
            asked = {"points": Bigints(points[missing]), "hours": Times(hours[missing] * HOUR_US)}
            await tx.run(SQL["mark_dirty"], asked)
        if now is None or len(known) + len(touched) > MARKS_KEPT:
            return Marks()
        return Marks(now, np.concatenate((known, touched[missing])) if len(known) else touched)


async def _copy(tx: Transaction, statement: bytes, data: bytes) -> None:
    async with tx.connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(data)
