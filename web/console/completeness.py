"""Completeness: how much of each day the readings of each device cover, hour by hour for one, and every gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from hub.assets import service as assets
from hub.assets.rows import Device, Site
from hub.errors import InvalidError, NotFoundError
from hub.readings import completeness as readings
from hub.readings.completeness import Gap, Gaps, Place, percent, share
from hub.readings.rows import DeviceDay, PointHour, PointShare
from hub.store.database import Transaction
from rules.meter.rollup import HOUR, bounds
from rules.model.period import days, days_period
from web.console.stills import day_of
from web.export import table
from web.session import PointsVisit, Visit, first_site

router = APIRouter()
DAYS_SHOWN = 14
YEARS = range(2000, 2100)  # a day in an address beyond them is a slip
EARLIEST = date(2000, 1, 1)
GAPS_SHOWN = 100
Day = Annotated[str, Query(max_length=40)]

# The grades of the map: from which share on.  Blue is complete and orange is missing, which everybody tells apart, and
# the number stands in each field.
GRADES = ((1.0, "full"), (0.95, "high"), (0.75, "good"), (0.25, "low"), (0.000_001, "poor"), (0.0, "none"))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the map; ``percent`` None: nothing was expected."""

    label: str
    percent: float | None
    grade: str
    late_s: float
    bad: int


@dataclass(frozen=True, slots=True)
class Row:
    """One device or point of the map, its fields, and its share of all of them."""

    code: str
    names: DeviceDay | None
    gateway: str
    percent: float | None
    fields: Sequence[Field | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """The days asked for, both included, at a site."""

    site: Site
    first: date
    last: date

    @property
    def span(self) -> tuple[date, date]:
        """The days as the hub counts them, the second excluded."""
        return self.first, self.last + timedelta(days=1)

    @property
    def days(self) -> list[date]:
        """Every day."""
        return list(days(*self.span))

    def place(self, device: Device | None = None) -> Place:
        """Where to look."""
        return Place(self.site.id, self.site.zone, device.id if device else None)


async def _asked(tx: Transaction, visit: Visit, first: str, last: str, length: int = DAYS_SHOWN) -> Asked | None:
    """Give what is asked for; None where there is no site yet.  Raises InvalidError."""
    site = await first_site(tx)
    return None if site is None else _days(site, visit, first, last, length)


def _days(site: Site, visit: Visit, first: str, last: str, length: int = DAYS_SHOWN) -> Asked:
    until = day_of(last) or visit.now.astimezone(site.zone).date()
    since = day_of(first) or max(until, EARLIEST) - timedelta(days=length - 1)
    if not {since.year, until.year} <= {*YEARS}:
        raise InvalidError("This day lies too far off; choose another.")
    return Asked(site, min(since, until), max(since, until))


@router.get("/completeness")
async def show(visit: PointsVisit, first: Day = "", last: Day = "") -> HTMLResponse:
    """Show devices by days, gateways, and the longest gaps."""
    async with visit.transaction() as tx:
        asked = await _asked(tx, visit, first, last)
        if asked is None:
            return await visit.page(tx, "console/completeness.html", asked=None, rows=[])
        found = await readings.devices_by_day(tx, asked.place(), asked.span, visit.now)
        gaps = await readings.gaps(tx, asked.place(), days_period(*asked.span, asked.site.zone), visit.now)
        said = {"asked": asked, "rows": by_day(found, asked.days), "gateways": by_gateway(found), **longest(gaps)}
        return await visit.page(tx, "console/completeness.html", **said)


@router.get("/completeness.csv")
async def export(visit: PointsVisit, first: Day = "", last: Day = "") -> Response:
    """Give devices by days as CSV."""
    async with visit.transaction() as tx:
        asked = await _asked(tx, visit, first, last)
        found = await readings.devices_by_day(tx, asked.place(), asked.span, visit.now) if asked else []
        every = asked.days if asked else []
        return table("completeness", [_cells(one, every) for one in found])


@router.get("/completeness/gaps.csv")
async def export_gaps(visit: PointsVisit, first: Day = "", last: Day = "", device: Day = "") -> Response:
    """Give the gaps as CSV."""
    async with visit.transaction() as tx:
        asked = await _asked(tx, visit, first, last)
        if asked is None:
            return table("gaps", [])
        if device:
            found_device, site = await _device(tx, device)
            asked = _days(site, visit, first, last)
            place = asked.place(found_device)
        else:
            place = asked.place()
        found = await readings.gaps(tx, place, days_period(*asked.span, asked.site.zone), visit.now)
        return table("gaps", [_gap_cells(gap) for gap in found.gaps])


@router.get("/completeness/devices/{code}")
async def one(visit: PointsVisit, code: str, day: Day = "") -> HTMLResponse:
    """Show the points of a device by the hours of a day, and the day's gaps."""
    async with visit.transaction() as tx:
        device, site = await _device(tx, code)
        asked = _days(site, visit, day, day, 1)
        place = asked.place(device)
        points = await readings.points(tx, place, asked.span, visit.now)
        hours = await readings.hours(tx, device.id, asked.first, asked.site.zone)
        gaps = await readings.gaps(tx, place, days_period(*asked.span, asked.site.zone), visit.now)
        starts = _starts(asked)
        said = {"asked": asked, "device": device, "day": asked.first, "hours": starts, "before": timedelta(days=1),
                "rows": by_hour(points, hours, asked, visit.now), **longest(gaps)}  # fmt: skip
        return await visit.page(tx, "console/completeness_device.html", **said)


async def _device(tx: Transaction, code: str) -> tuple[Device, Site]:
    """Give a device, at whichever site it stands, with its site; raises NotFoundError."""
    found = next((one for one in await assets.devices(tx) if one.code == code), None)
    if found is None:
        raise NotFoundError("There is no such device.")
    return found, next(site for site in await assets.sites(tx) if site.id == found.site_id)


def by_day(found: Sequence[DeviceDay], every: Sequence[date]) -> list[Row]:
    """Lay the days of each device side by side; a day before its first reading is None."""
    rows: dict[str, list[DeviceDay]] = {}
    for one in found:
        rows.setdefault(one.device, []).append(one)
    laid = []
    for code, of in rows.items():
        fields: list[Field | None] = [None] * len(every)
        for one in of:
            fields[one.place - 1] = field(
                every[one.place - 1].isoformat(), share(one.covered_s, one.expected_s), one.late_s, one.bad
            )
        laid.append(Row(code, of[0], of[0].gateway, _of_all(of), fields))
    return laid


def by_gateway(found: Sequence[DeviceDay]) -> list[tuple[str, int, float | None]]:
    """Give each gateway with the number of its devices and its share."""
    held: dict[str, list[DeviceDay]] = {}
    for one in found:
        held.setdefault(one.gateway, []).append(one)
    return [(code, len({one.device for one in of}), _of_all(of)) for code, of in sorted(held.items())]


def by_hour(points: Sequence[PointShare], hours: Sequence[PointHour], asked: Asked, now: datetime) -> list[Row]:
    """Lay the UTC hours that touch the day side by side for each point; what is not over yet is None."""
    day, held = bounds(asked.first, asked.site.zone), {(one.point_id, one.bucket): one for one in hours}
    rows = []
    for point in points:
        fields: list[Field | None] = []
        for start in _starts(asked):
            seconds = (min(start + HOUR, now) - max(start, point.since)).total_seconds()
            known = held.get((point.point_id, start))
            covered, late, bad = (known.covered_s, known.late_s, known.bad) if known else (0.0, 0.0, 0)
            local = start.astimezone(asked.site.zone)
            fields.append(field(f"{local:%H:%M}", share(covered, seconds), late, bad) if seconds > 0 else None)
        rows.append(Row(point.point, None, point.gateway, percent(share(point.covered_s, point.expected_s)), fields))
    return rows if day.start < now else []


def _starts(asked: Asked) -> list[datetime]:
    """Give the UTC hours that touch the day."""
    day = bounds(asked.first, asked.site.zone)
    start = day.start.replace(minute=0, second=0, microsecond=0)
    return [start + n * HOUR for n in range(-(-(day.end - start) // HOUR))]


def field(label: str, known: float | None, late_s: float, bad: int) -> Field | None:
    """Give a field of the map; None where nothing was expected."""
    if known is None:
        return None
    shown = percent(known) or 0.0
    return Field(label, shown, next(name for least, name in GRADES if shown / 100 >= least), late_s, bad)


def _of_all(of: Sequence[DeviceDay]) -> float | None:
    return percent(share(sum(one.covered_s for one in of), sum(one.expected_s for one in of)))


def longest(gaps: Gaps) -> dict[str, Any]:
    """Give the longest gaps for a page, those of now first, and how many there are."""
    ordered = sorted(gaps.gaps, key=lambda gap: (gap.recovered_at is not None, not gap.open, -gap.missing_s))
    return {"gaps": ordered[:GAPS_SHOWN], "count": len(gaps.gaps), "more": gaps.more, "left_off": gaps.points_left_off}


def _cells(one: DeviceDay, every: Sequence[date]) -> dict[str, Any]:
    return {
        "day": every[one.place - 1].isoformat(), "gateway": one.gateway, "device": one.device,
        "device_name_zh": one.name_zh, "device_name_en": one.name_en, "points": one.points,
        "percent": percent(share(one.covered_s, one.expected_s)), "covered_s": round(one.covered_s),
        "expected_s": round(one.expected_s), "filled_in_s": round(one.late_s), "readings": one.readings,
        "not_good": one.bad,
    }  # fmt: skip


def _gap_cells(gap: Gap) -> dict[str, Any]:
    return {
        "gateway": gap.gateway, "device": gap.device, "point": gap.point, "from": gap.start_at, "to": gap.end_at,
        "seconds": round(gap.missing_s), "expected_every_s": round(gap.expected_s), "open": gap.open,
        "not_good_inside": gap.bad, "recovered_at": gap.recovered_at,
    }  # fmt: skip
