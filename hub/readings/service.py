"""Ask for readings; every range is bounded.  All of it runs under Role.APP through the barrier views."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from numpy.typing import NDArray

from hub.errors import InvalidError
from hub.readings import columns
from hub.readings.rows import Bucket, Completeness, Exported, Latest, Measured, Point
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.period import Period
from rules.model.quality import USABLE, Quality
from rules.model.reading import Reading

SQL = queries(__package__)

SERIES_MOST = 100_000
LATEST_MOST = 2_000
BUCKETS_MOST = 2_000
NEWEST_MOST = 10_000
NEWEST = {"point_id": "i8", "at_s": "f8", "value": "f8", "quality": "i8"}
PERIOD_MOST = timedelta(days=6 * 366)
RAW_CHART_MOST = timedelta(days=3)  # longer charts are made of the hourly rollups
COUNTER_MARGIN = timedelta(days=1)
HOUR = timedelta(hours=1)


async def point(tx: Transaction, code: str) -> Point:
    """Give a point by its code; raises NotFoundError."""
    return await tx.one(Point, SQL["point"], {"code": code}, what=f"point '{code[:80]}'")


async def series(tx: Transaction, point_code: str, period: Period, most: int = SERIES_MOST) -> list[Measured]:
    """Give the readings of a period as they were stored, oldest first, at most ``most`` of them.

    Raises NotFoundError, or InvalidError for a period that is too long.
    """
    found = await point(tx, point_code)
    return await _series(tx, found.id, period, most)


async def _series(tx: Transaction, point_id: int, period: Period, most: int) -> list[Measured]:
    asked = {"point": point_id, **_bounded(period), "most": max(1, min(most, SERIES_MOST))}
    return await tx.all(Measured, SQL["series"], asked)


async def chart(tx: Transaction, of: Point, period: Period, buckets: int = 500) -> list[Bucket]:
    """Give min, max and last of the good readings per step, about ``buckets`` steps; steps without any are left out."""
    length = period.end - period.start
    step = max(length / max(1, min(buckets, BUCKETS_MOST)), timedelta(seconds=1))
    asked = {"point": of.id, "good": list(USABLE), **_bounded(period), "step": step}
    if length <= RAW_CHART_MOST:
        return await tx.all(Bucket, SQL["chart_of_readings"], asked)
    asked["start"] = period.start.replace(minute=0, second=0, microsecond=0)
    asked["step"] = HOUR * -(-step // HOUR)
    return await tx.all(Bucket, SQL["chart_of_hours"], asked)


async def latest(
    tx: Transaction,
    site_id: UUID | None = None,
    device_id: UUID | None = None,
    *,
    after: str = "",
    most: int = LATEST_MOST,
) -> list[Latest]:
    """Give every point (of a site, of a device) with its latest reading, by code; a page starts ``after`` a code."""
    asked = {"site": site_id, "device": device_id, "after": after, "most": min(most, LATEST_MOST)}
    return await tx.all(Latest, SQL["latest"], asked, afresh=True)


async def newest(tx: Transaction, points: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Give the latest readings of many points by column, of those that have one; raises InvalidError for too many.

    Columns ``point_id``, ``at_s`` (seconds since 1970), ``value`` (nan: there is none) and ``quality``.
    """
    if len(points) > NEWEST_MOST:
        raise InvalidError(f"Ask for the latest readings of at most {NEWEST_MOST} points at once.")
    return await columns.read(tx, SQL["newest"], {"points": [*points]}, NEWEST)


async def counter_series(
    tx: Transaction, point_id: int, period: Period, margin: timedelta = COUNTER_MARGIN
) -> list[Reading]:
    """Give a counter's readings of a period, of every quality, and the nearest good one outside each end.

    The period is half-open, so a reading at its very end counts as outside.  Nothing further away than ``margin``.
    Raises NotFoundError, or InvalidError when there are more than SERIES_MOST.
    """
    code = await tx.value(SQL["point_code"], {"point": point_id})
    inside = await _series(tx, point_id, period, SERIES_MOST)
    if len(inside) == SERIES_MOST:
        raise InvalidError(f"{code} has more than {SERIES_MOST} readings in this period; ask for a shorter one.")
    good = {"point": point_id, "good": list(USABLE)}
    before = {**good, "start": period.start - margin, "end": period.start}
    after = {**good, "start": period.end, "end": period.end + margin}
    found = [
        await tx.maybe(Measured, SQL["last_good_before"], before),
        *inside,
        await tx.maybe(Measured, SQL["first_good_from"], after),
    ]
    return [Reading(str(code), one.at, one.value, Quality(one.quality)) for one in found if one is not None]


async def completeness(tx: Transaction, period: Period, site_id: UUID | None = None) -> list[Completeness]:
    """Give, per point, in how many whole UTC hours of a period there is a good reading."""
    start = period.start.replace(minute=0, second=0, microsecond=0)
    hours = -(-(period.end - start) // HOUR)
    asked = {**_bounded(period), "start": start, "hours": hours, "site": site_id}
    return await tx.all(Completeness, SQL["completeness"], asked, afresh=True)


async def exported(tx: Transaction, point_code: str, period: Period, most: int = SERIES_MOST) -> list[Exported]:
    """Give the lines of ``plantroom readings``."""
    found = await point(tx, point_code)
    return [Exported.of(found, one) for one in await _series(tx, found.id, period, most)]


def _bounded(period: Period) -> dict[str, datetime]:
    if period.end - period.start > PERIOD_MOST:
        raise InvalidError(f"A period of more than {PERIOD_MOST.days} days is too long; ask for a shorter one.")
    return {"start": period.start, "end": period.end}
