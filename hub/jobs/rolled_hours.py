"""Make marked hours again from their samples."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from hub.jobs.nodes import fetch_samples, statement
from hub.jobs.rolled_days import drop, mark_days, zone
from hub.jobs.rows import PointHour, RolledSpan, TakenHour
from hub.metering.marks import mark
from hub.metering.rows import Mark
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.rollup import HOUR, days_of

SQL = queries(__package__)

HOURS_PER_ROUND = 5_000
HOURS_REMEMBERED = 10_000  # with the local days that they touch

Key = tuple[int, datetime]


async def make(tx: Transaction, before: datetime, *, spread: bool) -> int:
    """Make a round of the marked hours that start before ``before``; give how many were marked."""
    asked: dict[str, Any] = {"before": before, "most": HOURS_PER_ROUND}
    taken = await tx.all(TakenHour, SQL["take_hours"], asked, afresh=True)
    if not taken:
        return 0
    late = {(one.point_id, one.bucket): one.late for one in taken}
    hours = sorted([*late, *await _after(tx, late)])
    rolled = await roll(tx, hours, spread=spread)
    await _put(tx, rolled, late)
    await drop(tx, SQL["drop_hours"], late.keys() - {(one.point_id, one.starts_at) for one in rolled})
    await mark_days(
        tx,
        {
            (one.point_id, day)
            for one in taken
            if one.timezone is not None
            for day in _days_of(one.bucket, one.timezone)
        },
    )
    await mark(tx, [Mark(*key) for key in late])
    return len(taken)


async def _after(tx: Transaction, taken: dict[Key, bool]) -> list[Key]:
    """Give the hours right after, where they are there: the last reading of the one reaches into the other.

    Those that are marked themselves have their turn still to come.
    """
    after = {(point, bucket + HOUR) for point, bucket in taken} - taken.keys()
    unmarked = await tx.all(PointHour, SQL["unmarked"], _keys(sorted(after)), afresh=True)
    if not unmarked:
        return []
    asked = _keys([(one.point_id, one.bucket) for one in unmarked])
    there = await tx.all(PointHour, SQL["hours_there"], asked, afresh=True)
    return [(one.point_id, one.bucket) for one in there]


async def roll(tx: Transaction, hours: Sequence[Key], *, spread: bool) -> list[RolledSpan]:
    """Give what the samples say of hours of points; an hour without a reading is not among them."""
    if spread:
        await fetch_samples(tx, [(point, start, start + HOUR) for point, start in hours])
    asked = {"points": [point for point, _ in hours], "starts": [start for _, start in hours]}
    return await tx.all(RolledSpan, statement("roll", spread=spread), asked, afresh=True)


async def _put(tx: Transaction, rolled: Sequence[RolledSpan], late: dict[Key, bool]) -> None:
    if rolled:
        asked: dict[str, Any] = {one.name: [getattr(row, one.name) for row in rolled] for one in fields(RolledSpan)}
        asked["late"] = [late.get((row.point_id, row.starts_at), False) for row in rolled]
        await tx.run(SQL["put_hours"], asked)


def _keys(hours: Sequence[Key]) -> dict[str, Any]:
    return {"points": [point for point, _ in hours], "buckets": [bucket for _, bucket in hours]}


@lru_cache(HOURS_REMEMBERED)
def _days_of(bucket: datetime, timezone: str) -> list[date]:
    return days_of(bucket.astimezone(UTC), zone(timezone))
