"""How complete readings are: shares of time covered, per device and day, per point and hour, and the gaps one by one.

A share is time covered by good readings (rules/meter/rollup.py says for how long one speaks) of the time since the
point's first reading.  Missing is never zero: before a first reading there is no share at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hub.errors import InvalidError
from hub.readings.rows import DeviceDay, GapRow, PointHour, PointShare
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.rollup import bounds
from rules.model.period import Period, days
from rules.model.quality import USABLE

SQL = queries(__package__)

DAYS_MOST = 62
GAP_DAYS_MOST = 366
GAP_POINTS_MOST = 500  # those that lack most; how many more lack something is said
GAPS_MOST = 2_000
UNNOTICED_S = 1.0  # rounding


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: a site and its zone, and of it one device or one point (by code) where given."""

    site_id: UUID
    zone: ZoneInfo
    device_id: UUID | None = None
    point: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch between two good readings of a point that is longer than one speaks for.

    ``start_at`` is the last good reading before it, ``end_at`` the first after it or, while it is ``open``, the end of
    what was asked for.  ``expected_s`` is the usual time between two readings, ``missing_s`` how long it is.  ``bad``
    counts readings of no use inside (up to 1,000): the device was heard and could not say.  ``recovered_at``: it was
    filled in then, long afterwards; its ends are whole hours.
    """

    gateway: str
    device: str
    point: str
    start_at: datetime
    end_at: datetime
    missing_s: float
    expected_s: float
    open: bool
    bad: int
    recovered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps by time; ``points_left_off`` more points lack something; ``more``: there are more than could be given."""

    gaps: Sequence[Gap]
    points_left_off: int
    more: bool


async def devices_by_day(tx: Transaction, place: Place, span: tuple[date, date], now: datetime) -> list[DeviceDay]:
    """Give the share of every device on every local day from the first of ``span`` to before its second.

    ``place`` of a row counts the days from 1; days before a device's first reading have no row.  Raises InvalidError.
    """
    return await tx.all(DeviceDay, SQL["complete_devices"], _asked(place, span, now), afresh=True)


async def points(tx: Transaction, place: Place, span: tuple[date, date], now: datetime) -> list[PointShare]:
    """Give the share of every point over local days; raises InvalidError for too many of them."""
    asked = _asked(place, span, now, GAP_DAYS_MOST) | {"point": place.point}
    return await tx.all(PointShare, SQL["complete_points"], asked, afresh=True)


async def hours(tx: Transaction, device_id: UUID, day: date, zone: ZoneInfo) -> list[PointHour]:
    """Give what each point of a device knows of every UTC hour that touches a local day; none without a reading."""
    period = bounds(day, zone)
    asked = {"device": device_id, "start": _hour(period.start), "end": period.end}
    return await tx.all(PointHour, SQL["complete_hours"], asked)


async def gaps(tx: Transaction, place: Place, period: Period, now: datetime) -> Gaps:
    """Give the gaps of a period, those that have been filled in among them; raises InvalidError for too long a one."""
    end = min(period.end, now)
    if period.end - period.start > timedelta(days=GAP_DAYS_MOST):
        raise InvalidError(f"Ask for at most {GAP_DAYS_MOST} days of gaps at once.")
    if end <= period.start:
        return Gaps([], 0, more=False)
    first = period.start.astimezone(place.zone).date()
    past = (end - timedelta(microseconds=1)).astimezone(place.zone).date() + timedelta(days=1)
    shares = await points(tx, place, (first, past), now)
    lacking = sorted((one for one in shares if _lacks(one)), key=_missing, reverse=True)
    chosen = {one.point_id: one for one in lacking[:GAP_POINTS_MOST]}
    asked: dict[str, Any] = {
        "points": [*chosen], "sinces": [one.since for one in chosen.values()], "start": period.start, "end": end,
        "good": list(USABLE), "most": GAPS_MOST + 1,
    }  # fmt: skip
    found = await tx.all(GapRow, SQL["gaps"], asked, afresh=True)
    found += await tx.all(GapRow, SQL["recovered"], asked, afresh=True)
    told = sorted((_gap(row, chosen) for row in found), key=lambda gap: (gap.start_at, gap.point))
    return Gaps(told[:GAPS_MOST], len(lacking) - len(chosen), more=len(told) > GAPS_MOST)


def share(covered_s: float, expected_s: float) -> float | None:
    """Give the share that is covered, 0 to 1; None where nothing was expected."""
    return min(covered_s / expected_s, 1.0) if expected_s > 0 else None


def percent(share: float | None) -> float | None:
    """Give a share in per cent with one decimal, rounded down: 100 only where nothing is missing."""
    return None if share is None else int(share * 1_000 + 1e-6) / 10


def _lacks(one: PointShare) -> bool:
    return one.late_s > UNNOTICED_S or _missing(one) > UNNOTICED_S


def _missing(one: PointShare) -> float:
    return one.expected_s - one.covered_s


def _gap(row: GapRow, of: Mapping[int, PointShare]) -> Gap:
    one = of[row.point_id]
    return Gap(
        one.gateway, one.device, one.point, row.start_at, row.end_at, row.missing_s, row.expected_s, row.open, row.bad,
        row.recovered_at,
    )  # fmt: skip


def _asked(place: Place, span: tuple[date, date], now: datetime, most: int = DAYS_MOST) -> dict[str, Any]:
    if (span[1] - span[0]).days > most:
        raise InvalidError(f"Ask for at most {most} days of completeness at once.")
    every: Iterable[tuple[date, Period]] = ((day, bounds(day, place.zone)) for day in days(*span))
    begun = [(day, period.start, min(period.end, now)) for day, period in every if period.start < now]
    cut, starts, ends = zip(*begun, strict=True) if begun else ((), (), ())
    return {"site": place.site_id, "device": place.device_id, "days": [*cut], "starts": [*starts], "ends": [*ends]}


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
