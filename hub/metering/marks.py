"""Mark hours of counters in which something came in: whoever makes rollups anew says so in the same transaction."""

from collections.abc import Sequence

from hub.metering.rows import Mark
from hub.store.database import Transaction
from hub.store.sql import queries

SQL = queries(__package__)


async def mark(tx: Transaction, hours: Sequence[Mark]) -> None:
    """Mark hours (UTC) of points; those of points that are no counters are passed over."""
    if hours:
        asked = {"points": [hour.point_id for hour in hours], "buckets": [hour.bucket for hour in hours]}
        await tx.run(SQL["mark"], asked)
