"""Make marked local days again, from hours and from the pieces of hours that their midnights cut."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from hub.jobs.nodes import fetch_hours, fetch_samples, statement
from hub.jobs.rows import CutZone, RolledDay, TakenDay, UtcDays
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.rollup import HOUR, bounds

SQL = queries(__package__)

DAYS_PER_ROUND = 5_000
POINTS_PER_ROUND = 100  # of a site whose time zone was changed
DAYS_REMEMBERED = 10_000
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cut:
    """A local day [since, until), and the whole UTC hours [first_hour, past_hour) in it."""

    since: datetime
    until: datetime
    first_hour: datetime
    past_hour: datetime

    def pieces(self) -> list[tuple[datetime, datetime]]:
        """Give what its midnights cut off from hours."""
        ends = (self.since, self.first_hour), (self.past_hour, self.until)
        return [(start, end) for start, end in ends if start < end]


async def make(tx: Transaction, *, spread: bool) -> int:
    """Make a round of the marked days; give how many were marked."""
    taken = await tx.all(TakenDay, SQL["take_days"], {"most": DAYS_PER_ROUND}, afresh=True)
    if not taken:
        return 0
    made = await _merge(tx, [(one, _cut(one.day, one.timezone)) for one in taken if one.timezone], spread=spread)
    if made:
        asked = {one.name: [getattr(row, one.name) for row in made] for one in fields(RolledDay)}
        await tx.run(SQL["put_days"], asked)
    gone = {(one.point_id, one.day) for one in taken} - {(one.point_id, one.day) for one in made}
    await drop(tx, SQL["drop_days"], gone)
    return len(taken)


async def mark_days(tx: Transaction, days: Collection[tuple[int, date]]) -> None:
    """Mark local days of points."""
    if days:
        await tx.run(SQL["mark_days"], {"points": [point for point, _ in days], "days": [day for _, day in days]})


async def recut(tx: Transaction) -> int:
    """Drop and mark the days of some points of a site whose time zone was changed; give 0 where there is none."""
    site = await tx.maybe(CutZone, SQL["next_zone"])
    if site is None:
        return 0
    asked: dict[str, Any] = {"site": site.site_id, "after": site.after_point, "most": POINTS_PER_ROUND}
    points: list[int] | None = await tx.value(SQL["points_of_zone"], asked)
    if not points:
        await tx.run(SQL["end_zone"], asked)
        return 1
    await tx.run(SQL["drop_all_days"], {"points": points})
    known = await tx.all(UtcDays, SQL["utc_days"], {"points": points})
    # A zone lies within a day of UTC: the days beside are marked too, and days without a reading get no row.
    around = {(one.point_id, day + n * DAY) for one in known for day in one.days for n in (-1, 0, 1)}
    await mark_days(tx, around)
    await tx.run(SQL["pass_points"], asked | {"last": points[-1]})
    return 1


async def _merge(tx: Transaction, days: Sequence[tuple[TakenDay, Cut]], *, spread: bool) -> list[RolledDay]:
    pieces = [(one.point_id, start, end, one.day) for one, cut in days for start, end in cut.pieces()]
    if spread:
        await fetch_samples(tx, [piece[:3] for piece in pieces])
        await fetch_hours(tx, [(one.point_id, cut.first_hour, cut.past_hour) for one, cut in days])
    asked = {
        "points": [one.point_id for one, _ in days], "days": [one.day for one, _ in days],
        "sinces": [cut.since for _, cut in days], "untils": [cut.until for _, cut in days],
        "starts": [cut.first_hour for _, cut in days], "ends": [cut.past_hour for _, cut in days],
        "cut_points": [piece[0] for piece in pieces], "cut_starts": [piece[1] for piece in pieces],
        "cut_ends": [piece[2] for piece in pieces], "cut_days": [piece[3] for piece in pieces],
    }  # fmt: skip
    return await tx.all(RolledDay, statement("merge_days", spread=spread), asked, afresh=True)


async def drop(tx: Transaction, query: bytes, gone: Iterable[tuple[int, Any]]) -> None:
    """Delete rollups by point and start, point by point: that is one node's business each."""
    of_point = defaultdict(list)
    for point, key in gone:
        of_point[point].append(key)
    for point, keys in sorted(of_point.items()):
        await tx.run(query, {"point": point, "keys": keys})


@cache
def zone(name: str) -> ZoneInfo:
    """Give a time zone."""
    return ZoneInfo(name)


@lru_cache(DAYS_REMEMBERED)
def _cut(day: date, timezone: str) -> Cut:
    period = bounds(day, zone(timezone))
    since, until = period.start.astimezone(UTC), period.end.astimezone(UTC)
    past = until.replace(minute=0, second=0, microsecond=0)
    first = since.replace(minute=0, second=0, microsecond=0)
    return Cut(since, until, first if first == since else first + HOUR, past)
