"""The parts of the stored readings: made ahead of time, listed, and written anew when they are over."""

import logging
from datetime import datetime, timedelta

from psycopg.errors import DeadlockDetected, LockNotAvailable

from hub.errors import UnavailableError
from hub.keeping.rows import Part
from hub.store.database import Database, Role, Transaction
from hub.store.sql import queries

SQL = queries(__package__)

WEEKS_AHEAD = 2
SETTLED_AFTER = timedelta(days=2)  # until then late readings are usual
PARTS_PER_RUN = 8
PATIENT_TIMEOUT_S = 1_800  # for what reads a whole part

log = logging.getLogger(__name__)


async def make_ahead(database: Database, now: datetime) -> None:
    """Make sure of the partitions of this week and of WEEKS_AHEAD more; a hypertable makes its own when they come.

    Raises UnavailableError where readings are there and cannot be seen.
    """
    async with database.transaction(None, role=Role.INGEST) as tx:
        if await tx.value(SQL["unreachable"]):
            raise UnavailableError(
                "The database has TimescaleDB, but its server has not loaded it: readings are there and cannot be "
                "seen, and none is stored; 'plantroom doctor' says what to do."
            )
    for ahead in range(WEEKS_AHEAD + 1):
        async with database.transaction(None, role=Role.INGEST) as tx:
            await tx.run(SQL["ensure_week"], {"week": (now + timedelta(weeks=ahead)).date()})


async def parts(database: Database) -> list[Part]:
    """Give all parts, the oldest first."""
    async with database.transaction(None, role=Role.INGEST) as tx:
        return await tx.all(Part, SQL["parts"])


async def compact(database: Database, now: datetime, most: int = PARTS_PER_RUN) -> int:
    """Write parts anew that are over, the oldest first, each in a transaction of its own; how many that were.

    Plain and Apache: in the order of the key, so that a point's day lies on a few pages.  With TimescaleDB's own
    licence: into the columnstore.  A part that somebody uses just then waits for the next run.
    """
    due = [part for part in await parts(database) if not part.compacted and part.ends_at + SETTLED_AFTER <= now]
    done = 0
    for part in due[:most]:
        async with database.transaction(None, role=Role.INGEST) as tx:
            size = await _compacted(tx, part)
        if size is not None:
            done += 1
            log.info("%s is compacted: %.1f MB, %.1f before", part.part, size / 1e6, part.bytes / 1e6)
    return done


async def be_patient(tx: Transaction) -> None:
    """Let the statements of this transaction take as long as reading a whole part may."""
    await tx.connection.execute(f"SET LOCAL statement_timeout = '{PATIENT_TIMEOUT_S}s'".encode())


async def _compacted(tx: Transaction, part: Part) -> int | None:
    """Compact a part and give its size after; None where somebody else had it."""
    await be_patient(tx)
    try:
        async with tx.connection.transaction():
            size: int = await tx.value(SQL["compact"], {"part": part.part})
    except (LockNotAvailable, DeadlockDetected):
        log.info("%s is in use and is compacted later", part.part)
        return None
    return size
