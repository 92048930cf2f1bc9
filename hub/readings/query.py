"""Ask for many readings: ranges page by page, charts, the latest of many.  Every answer is bounded by a named limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from hub.errors import InvalidError, NotFoundError
from hub.readings import chart
from hub.readings.rows import LatestOf, Measured, Point, RawColumns, Rolled, RolledColumns, SiteName
from hub.readings.service import PERIOD_MOST, RAW_CHART_MOST
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.model.period import Period
from rules.model.quality import USABLE

SQL = queries(__package__)
POINTS_MOST = 100  # of one question about a range
CODES_MOST = 1_000  # of one question about the latest
LATEST_PAGE_MOST = 10_000
CHART_POINTS_MOST = 12
CHART_READINGS_MOST = 300_000  # of one point: an answer of hours says as much
CHART_VALUES_MOST = 5_000
HOURS_MOST = timedelta(days=3 * 366)  # longer charts are made of days
HOUR_S, DAY_S = 3_600.0, 86_400.0
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
CODE_SHOWN = 80  # characters
SITES_TOLD = 5


class Resolution(StrEnum):
    """What a value of an answer stands for."""

    RAW = "raw"
    HOUR = "hour"
    DAY = "day"

    def steps(self, period: Period) -> int:
        """Give at most how many hours (days) a period touches."""
        long = timedelta(hours=1) if self is Resolution.HOUR else timedelta(hours=23)
        return -(-(period.end - period.start) // long) + 1


@dataclass(frozen=True, slots=True)
class Drawn:
    """A point's line in a chart, and what its values stand for."""

    point: Point
    resolution: Resolution
    line: chart.Line


Line = tuple[Point, Measured | Rolled]


def resolve(period: Period, values: int) -> Resolution:
    """Give the finest resolution that is worth its cost where about ``values`` of each point are wanted."""
    length = period.end - period.start
    if length <= RAW_CHART_MOST:
        return Resolution.RAW
    days_say_enough = length >= timedelta(days=1) * max(1, values)
    return Resolution.DAY if days_say_enough or length > HOURS_MOST else Resolution.HOUR


async def points(tx: Transaction, codes: Sequence[str], most: int = POINTS_MOST) -> list[Point]:
    """Give points by their codes, each once, in order of code; raises NotFoundError naming one that is not there."""
    wanted = bounded(codes, most)
    found = await tx.all(Point, SQL["points_named"], {"codes": wanted}, afresh=True)
    all_there(wanted, [one.code for one in found])
    return found


async def rows(
    tx: Transaction,
    of: Sequence[Point],
    period: Period,
    resolution: Resolution,
    after: tuple[str, datetime] | None,
    most: int,
) -> list[Line]:
    """Give at most ``most`` readings (hours, days) by point and time; a page starts ``after`` a (code, time).

    What arrives between two pages shifts nothing: each page goes on where the one before it ended.
    """
    asked_period(period)
    found: list[Line] = []
    for point in of:
        if after is not None and point.code < after[0]:
            continue
        since = after[1] if after is not None and point.code == after[0] else period.start - TICK
        found += [(point, one) for one in await _after(tx, point, period, resolution, since, most - len(found))]
        if len(found) >= most:
            break
    return found


async def _after(
    tx: Transaction, point: Point, period: Period, resolution: Resolution, since: datetime, most: int
) -> Sequence[Measured | Rolled]:
    asked = {"point": point.id, "start": period.start, "end": period.end, "after": since, "most": most}
    if resolution is Resolution.RAW:
        return await tx.all(Measured, SQL["series_after"], asked)
    if since < period.start:
        asked["after"] = LONG_AGO
    if resolution is Resolution.HOUR:
        return await tx.all(Rolled, SQL["hours_after"], {**asked, "start": _hour(period.start)})
    return await tx.all(Rolled, SQL["days_after"], {**asked, "zone": point.timezone})


async def count(tx: Transaction, of: Sequence[Point], period: Period, most: int) -> int:
    """Give how many readings a range holds, at most ``most`` + 1."""
    asked = {"points": [one.id for one in of], "start": period.start, "end": period.end, "most": most + 1}
    return int(await tx.value(SQL["count_readings"], asked))


async def draw(tx: Transaction, of: Point, period: Period, resolution: Resolution | None, values: int) -> Drawn:
    """Give a point's line of about ``values`` values; raises InvalidError where raw readings are too many to draw.

    Without a ``resolution`` it is chosen by the length; where readings are too many then, hours are drawn.
    """
    asked_period(period)
    wanted = min(max(values, chart.LTTB_LEAST), CHART_VALUES_MOST)
    chosen = resolution or resolve(period, wanted)
    if chosen is Resolution.RAW:
        found = await _readings(tx, of, period)
        if len(found.at or ()) <= CHART_READINGS_MOST:
            return Drawn(of, chosen, chart.of_readings(found, wanted))
        if resolution is not None:
            raise InvalidError(
                f"'{of.code}' has more than {CHART_READINGS_MOST} readings in this period; "
                "ask for hours, or for a shorter period."
            )
        chosen = Resolution.HOUR
    line = await _rolled(tx, of, period, chosen, wanted)
    return Drawn(of, chosen, line)


async def _readings(tx: Transaction, of: Point, period: Period) -> RawColumns:
    span = {"point": of.id, "start": period.start, "end": period.end}
    asked = {**span, "good": list(USABLE), "most": CHART_READINGS_MOST + 1}
    return await tx.one(RawColumns, SQL["raw_columns"], asked, what="reading")


async def _rolled(tx: Transaction, of: Point, period: Period, by: Resolution, values: int) -> chart.Line:
    asked = {"point": of.id, "start": period.start, "end": period.end}
    counter = of.kind == "counter"
    if by is Resolution.HOUR:
        found = await tx.one(RolledColumns, SQL["hour_columns"], {**asked, "start": _hour(period.start)}, what="hour")
        return chart.of_rollups(found, values, HOUR_S, counter=counter)
    found = await tx.one(RolledColumns, SQL["day_columns"], {**asked, "zone": of.timezone}, what="day")
    return chart.of_rollups(found, values, DAY_S, counter=counter)


async def latest(
    tx: Transaction, site: str | None, device: str | None, codes: Sequence[str] | None, after: str, most: int
) -> list[LatestOf]:
    """Give points with their latest readings: of a site, of a device, of a list; a page starts ``after`` a code.

    Raises NotFoundError for a site, a device or a point that is not there.
    """
    wanted = None if not codes else bounded(codes, CODES_MOST)
    if wanted is not None:
        all_there(
            wanted, [one.code for one in await tx.all(Point, SQL["points_named"], {"codes": wanted}, afresh=True)]
        )
    asked = {
        "site": None if site is None else (await site_named(tx, site)).id,
        "device": None if device is None else await device_named(tx, device),
        "codes": wanted, "after": after, "most": min(most, LATEST_PAGE_MOST),
    }  # fmt: skip
    return await tx.all(LatestOf, SQL["latest_of"], asked, afresh=True)


async def site_named(tx: Transaction, code: str) -> SiteName:
    """Give a site by its code; raises NotFoundError."""
    return await tx.one(SiteName, SQL["site_named"], {"code": code}, what=f"site '{code[:CODE_SHOWN]}'")


async def site_meant(tx: Transaction, code: str | None) -> SiteName:
    """Give a site by its code, or without one the only site; raises NotFoundError, InvalidError."""
    if code is not None:
        return await site_named(tx, code)
    found = await tx.all(SiteName, SQL["some_sites"], {"most": SITES_TOLD + 1})
    if not found:
        raise NotFoundError("There is no site.")
    if len(found) > 1:
        told = ", ".join(one.code for one in found[:SITES_TOLD]) + (", ..." if len(found) > SITES_TOLD else "")
        raise InvalidError(f"There are several sites ({told}); say with 'site' which one you mean.")
    return found[0]


async def device_named(tx: Transaction, code: str) -> UUID:
    """Give a device by its code; raises NotFoundError."""
    found: UUID | None = await tx.value(SQL["device_named"], {"code": code})
    if found is None:
        raise NotFoundError(f"There is no such device '{code[:CODE_SHOWN]}'.")
    return found


def bounded(codes: Sequence[str], most: int) -> list[str]:
    """Give codes in order, each once; raises InvalidError for more than ``most``."""
    wanted = sorted(set(codes))
    if len(wanted) > most:
        raise InvalidError(f"One question is about at most {most} points; ask several times.")
    return wanted


def all_there(wanted: Sequence[str], found: Sequence[str]) -> None:
    """Raise NotFoundError where something that is wanted was not found."""
    missing = min(set(wanted) - set(found), default=None)
    if missing is not None:
        raise NotFoundError(f"There is no such point '{missing[:CODE_SHOWN]}'.")


def asked_period(period: Period) -> None:
    """Raise InvalidError for a period that is too long."""
    if period.end - period.start > PERIOD_MOST:
        raise InvalidError(f"A period of more than {PERIOD_MOST.days} days is too long; ask for a shorter one.")


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
