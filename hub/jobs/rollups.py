"""Make the hourly rollups again where samples have come in."""

from datetime import UTC, datetime

from hub.metering.marks import mark
from hub.metering.rows import Mark
from hub.store.database import Database, Role
from hub.store.sql import queries
from rules.model.quality import USABLE

SQL = queries(__package__)

MARKS_PER_ROUND = 5_000
ROUNDS_MAX = 40  # per run: a backfill is worked off without holding a transaction open for long
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


async def rebuild(database: Database, before: datetime = END_OF_TIME) -> int:
    """Make the marked hours that start before ``before`` again; give how many that were."""
    made = 0
    for _ in range(ROUNDS_MAX):
        async with database.transaction(None, role=Role.INGEST) as tx:
            await tx.run(SQL["hold_rollups"])
            asked = {"before": before, "most": MARKS_PER_ROUND, "good": list(USABLE)}
            hours = await tx.all(Mark, SQL["rebuild_hours"], asked)
            await mark(tx, hours)
        made += len(hours)
        if not hours:
            break
    return made
