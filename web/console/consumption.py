"""Consumption: what each meter counted by day and month, how firm that is, what it stands on and what changed it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from hub.errors import InvalidError, NotFoundError
from hub.metering import service as metering
from hub.metering.days import DAY, Grain
from hub.metering.rows import Change, Meter, Stored, Virtual
from hub.store.database import Transaction
from rules.meter.balance import Balance, Finding
from rules.meter.demand import Peak, peak
from web.export import table
from web.session import PointsVisit, zone_of

router = APIRouter()

YEARS = range(2000, 2100)
SETTLES = timedelta(hours=1)  # after midnight the day before is what people look at
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
AnyMeter = Meter | Virtual
Ids = tuple[int | None, UUID | None]  # of its counter, or of the virtual meter


@dataclass(frozen=True, slots=True)
class Used:
    """One meter in one month: what is known of it so far, and how many of its days are what.

    ``quantity`` None: not known.  ``whole``: the month is over and stored as such.
    """

    meter: AnyMeter
    days: Sequence[Stored]
    month: Stored | None

    @property
    def key(self) -> str:
        """What tells meters apart: a device may have two counters."""
        return self.meter.point if isinstance(self.meter, Meter) else self.meter.code

    @property
    def whole(self) -> bool:
        """Whether the month is over and worked out."""
        return self.month is not None

    @property
    def quantity(self) -> Decimal | None:
        """The month's consumption, or that of its days so far; None where a day of them is not known."""
        if self.month is not None:
            return self.month.quantity
        known = [day.quantity for day in self.days if day.quantity is not None]
        return sum(known, Decimal(0)) if known and len(known) == len(self.days) else None

    @property
    def states(self) -> Counter[str]:
        """How many days are in which state."""
        return Counter(day.state for day in self.days)

    @property
    def estimated(self) -> int:
        """How many days rest on an estimate."""
        return sum(day.estimated for day in self.days)

    @property
    def changed(self) -> int:
        """How often a day or the month was changed by a recomputation."""
        every = [*self.days, *([self.month] if self.month else [])]
        return sum(one.version - 1 for one in every)


@dataclass(frozen=True, slots=True)
class Bar:
    """A main meter's balance as a bar: each part's share of the longest (0 to 1), in the order drawn."""

    meter: Meter
    balance: Balance
    subs: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One day of a meter, with what changed it and, for a main meter, its balance."""

    fact: Stored
    changes: Sequence[Change]
    balance: Balance | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One counter or virtual meter of the page of one: its month, day by day."""

    used: Used
    lines: Sequence[Line]
    total: Line | None
    peak: Peak | None = None
    share: Mapping[date, float] = field(default_factory=dict)


@router.get("/consumption")
async def show(visit: PointsVisit, month: str = "", q: str = "") -> HTMLResponse:
    """Show every meter's month, and the balance of mains and subs."""
    async with visit.transaction() as tx:
        first = _month(month, visit.now, await zone_of(tx))
        rows = await _used(tx, first)
        wanted = q.strip().lower()[:80]
        shown = [row for row in rows if all(word in _said(row.meter) for word in wanted.split())]
        said = {"rows": shown, "bars": bars(rows), "q": q.strip()[:80], "any_at_all": bool(rows), **_months(first)}
        return await visit.page(tx, "console/consumption.html", **said)


@router.get("/consumption.csv")
async def export(visit: PointsVisit, month: str = "") -> Response:
    """Give the days and the month of every meter as CSV, with the readings that they stand on."""
    async with visit.transaction() as tx:
        first = _month(month, visit.now, await zone_of(tx))
        rows = await _used(tx, first)
    every = [one for row in rows for one in (*row.days, *([row.month] if row.month else []))]
    return table("consumption", [_cells(one) for one in every])


@router.get("/consumption/{code}")
async def one(visit: PointsVisit, code: str, month: str = "") -> HTMLResponse:
    """Show one meter's month day by day: readings, marks, changes, balance, demand."""
    async with visit.transaction() as tx:
        first = _month(month, visit.now, await zone_of(tx))
        rows = await _used(tx, first)
        own = [row for row in rows if row.meter.code == code]
        if not own:
            raise NotFoundError("There is no such meter.")
        sheets = [await _sheet(tx, row, rows, visit.now, first) for row in own]
        return await visit.page(tx, "console/meter.html", meter=own[0].meter, sheets=sheets, **_months(first))


async def _used(tx: Transaction, first: date) -> list[Used]:
    past = Grain.MONTH.past(first)
    days, months = await metering.facts(tx, Grain.DAY, first, past), await metering.facts(tx, Grain.MONTH, first, past)
    held: dict[Ids, list[Stored]] = {}
    for day in days:
        held.setdefault((day.point_id, day.virtual_id), []).append(day)
    whole = {(month.point_id, month.virtual_id): month for month in months}
    meters: list[AnyMeter] = [*await metering.meters(tx)]
    meters += [v for v in await metering.virtual_meters(tx) if not v.withdrawn or (None, v.id) in held]
    return [Used(meter, held.get(_ids(meter), []), whole.get(_ids(meter))) for meter in meters]


def _ids(meter: AnyMeter) -> Ids:
    return (meter.point_id, None) if isinstance(meter, Meter) else (None, meter.id)


def _said(meter: AnyMeter) -> str:
    return f"{meter.code} {meter.name_zh} {meter.name_en} {meter.commodity}".lower()


def bars(rows: Iterable[Used]) -> list[Bar]:
    """Give the balance of every meter with subs over the month, drawn to one scale per unit."""
    known = {row.meter.point_id: row for row in rows if isinstance(row.meter, Meter)}
    meters = [row.meter for row in known.values() if isinstance(row.meter, Meter)]
    found = metering.balances(meters, {id_: row.quantity for id_, row in known.items()})
    kept = [Bar(meter, found[meter.code]) for meter in meters if _says_something(found.get(meter.code))]
    longest: dict[str, Decimal] = {}
    for bar in kept:
        parts = (bar.balance.main or Decimal(0), bar.balance.subs or Decimal(0))
        longest[bar.meter.unit] = max(*parts, longest.get(bar.meter.unit, Decimal(0)))
    return [_drawn(bar, longest[bar.meter.unit]) for bar in kept]


def _says_something(found: Balance | None) -> bool:
    return found is not None and (found.main is not None or found.subs is not None)


def _drawn(bar: Bar, longest: Decimal) -> Bar:
    if bar.balance.loss is None or bar.balance.subs is None or not longest:
        return bar
    shown = min(bar.balance.subs, bar.balance.main or Decimal(0))
    return Bar(bar.meter, bar.balance, float(shown / longest), float(abs(bar.balance.loss) / longest))


async def _sheet(tx: Transaction, row: Used, rows: Sequence[Used], now: datetime, first: date) -> Sheet:
    facts = [*row.days, *([row.month] if row.month else [])]
    found = await metering.changes(tx, [one.id for one in facts if one.version > 1])
    changes = [replace(one, differences=_local(one.differences, row.meter.zone)) for one in found]
    balances = _daily_balances(row.meter, rows)
    lines = [Line(one, [c for c in changes if c.consumption_id == one.id], balances.get(one.first)) for one in facts]
    total = lines.pop() if row.month else None
    most = max((abs(day.quantity) for day in row.days if day.quantity is not None), default=Decimal(0))
    share = {day.first: float(max(day.quantity, Decimal(0)) / most) for day in row.days if day.quantity and most}
    return Sheet(row, lines, total, await _peak(tx, row.meter, now, first), share)


def _local(differences: list[dict[str, str]], zone: ZoneInfo) -> list[dict[str, str]]:
    """Write the moments in a trace in the time of the site."""

    def said(found: re.Match[str]) -> str:
        return f"{datetime.fromisoformat(found[0]).astimezone(zone):%Y-%m-%d %H:%M:%S}"

    return [{name: _INSTANT.sub(said, text) for name, text in one.items()} for one in differences]


def _daily_balances(meter: AnyMeter, rows: Sequence[Used]) -> dict[date, Balance]:
    if not isinstance(meter, Meter):
        return {}
    tree = [
        row
        for row in rows
        if isinstance(row.meter, Meter) and meter.device_id in (row.meter.device_id, row.meter.parent_id)
    ]
    found: dict[date, Balance] = {}
    for day in {fact.first for row in tree for fact in row.days}:
        used = {fact.point_id: fact.quantity for row in tree for fact in row.days if fact.first == day}
        of_day = metering.balances([row.meter for row in tree if isinstance(row.meter, Meter)], used)
        if meter.code in of_day:
            found[day] = of_day[meter.code]
    return found


async def _peak(tx: Transaction, meter: AnyMeter, now: datetime, first: date) -> Peak | None:
    """Give the highest demand of the month so far; water and virtual meters have none."""
    if not isinstance(meter, Meter) or meter.commodity != "electricity":
        return None
    month = Grain.MONTH.period(first, meter.zone)
    return peak(await metering.demands(tx, meter, month.until(now))) if month.start < now else None


def _month(text: str, now: datetime, zone: ZoneInfo) -> date:
    """Give the first day of the month that is asked for, else of yesterday's."""
    if not text:
        return ((now - SETTLES).astimezone(zone).date() - DAY).replace(day=1)
    try:
        found = date.fromisoformat(f"{text}-01")
    except ValueError:
        found = date.min
    if found.year not in YEARS:
        raise InvalidError(f"'{text[:20]}' is not a month; write it like 2026-01.")
    return found


def _months(first: date) -> dict[str, Any]:
    before, after = (first - DAY).replace(day=1), Grain.MONTH.past(first)
    return {"month": f"{first:%Y-%m}", "before": f"{before:%Y-%m}", "after": f"{after:%Y-%m}", "Finding": Finding}


def _cells(one: Stored) -> dict[str, Any]:
    start, end = one.evidence.get("start") or {}, one.evidence.get("end") or {}
    doubt = one.evidence.get("doubt") or {}
    return {
        "meter": one.code, "period": one.grain, "first": one.first, "starts_at": one.starts_at, "ends_at": one.ends_at,
        "quantity": one.quantity, "unit": one.unit, "state": one.state, "estimated": one.estimated,
        "start_value": start.get("value"), "start_method": start.get("method"), "end_value": end.get("value"),
        "end_method": end.get("method"), "multiplier": end.get("multiplier"),
        "rollovers": one.evidence.get("rollovers"), "exchanges": one.evidence.get("exchanges"),
        "version": one.version, "worked_at": one.worked_at,
        "doubt": doubt.get("en"),
    }  # fmt: skip
