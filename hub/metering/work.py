"""Keep the facts of consumption up to date: days where something came in or nothing did, months, virtual meters."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from hub.metering import evidence
from hub.metering.course import series
from hub.metering.days import DAY, Grain, day_of, days_of, months_of, runs_of
from hub.metering.marks import mark
from hub.metering.rows import Bill, Mark, Meter, Stored, Touched, Virtual
from hub.metering.service import facts_of, meters, virtual_meters
from hub.metering.store import SETTLING, Place, bills_of, put
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import consume
from rules.meter.fact import Fact, fact_of, joined, parked
from rules.meter.series import Series
from rules.meter.virtual import combine, summed
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.virtual import Missing, Version, in_order

SQL = queries(__package__)

MARKS_PER_ROUND = 1_000  # hours of counters in one transaction
METERS_PER_ROUND = 50  # whose days are over, in one transaction
DAYS_PER_METER = 40  # of these; a longer silence is worked off in several rounds
HOUR = timedelta(hours=1)
PATIENCE = timedelta(minutes=10)  # after midnight, before a day is worked out without a sign of life
USUAL_DAYS = 28  # a missing input is estimated by the mean of the known ones of so many days
USUAL_MONTHS = 12

Days = Mapping[int, set[date]]


async def catch_up(tx: Transaction, now: datetime) -> int:
    """Work out what has become out of date, a bounded share of it; gives how much was looked at (0: all is done)."""
    marks = await tx.all(Mark, SQL["take_marks"], {"until": now - HOUR, "most": MARKS_PER_ROUND})
    dirty = await _dirty(tx, marks, now) if marks else await _unfinished(tx, now)
    touched = await _work_out(tx, dirty, now)
    await _virtuals(tx, touched, now)
    await tx.run(SQL["settle"], {"now": now, "settled": now - SETTLING})
    return len(marks) + sum(len(days) for days in dirty.values())


async def _dirty(tx: Transaction, marks: Sequence[Mark], now: datetime) -> Days:
    """Give the days that marked hours lie in or reach, as far as they are over."""
    known = {meter.point_id: meter for meter in await meters(tx, points=sorted({mark.point_id for mark in marks}))}
    held = [mark for mark in marks if mark.point_id in known]
    asked = {"points": [mark.point_id for mark in held], "buckets": [mark.bucket for mark in held]}
    days: dict[int, set[date]] = defaultdict(set)
    for one in await tx.all(Touched, SQL["touched"], asked):
        days[one.point_id].add(one.first)
    for hour in held:
        days[hour.point_id].update(days_of(hour.bucket, hour.bucket + HOUR, known[hour.point_id].zone))
    return {id_: {day for day in some if _over(day, known[id_], now)} for id_, some in days.items()}


def _over(day: date, meter: Meter, now: datetime) -> bool:
    return Grain.DAY.period(day, meter.zone).end <= now


async def _unfinished(tx: Transaction, now: datetime) -> Days:
    """Give the days that are over and that nothing has come in for: they are missing, which has to be seen."""
    asked = {"now": now - PATIENCE, "most": METERS_PER_ROUND}
    last = {one.point_id: one.first for one in await tx.all(Touched, SQL["unfinished"], asked)}
    known = await meters(tx, points=sorted(last))
    return {meter.point_id: _after(last[meter.point_id], meter, now) for meter in known}


def _after(last: date, meter: Meter, now: datetime) -> set[date]:
    open_days = (day_of(now - PATIENCE, meter.zone) - last).days - 1
    return {last + n * DAY for n in range(1, min(open_days, DAYS_PER_METER) + 1)}


async def _work_out(tx: Transaction, dirty: Days, now: datetime) -> set[tuple[str, Grain, date]]:
    """Work out days and their months; gives which facts are new or other than before, by the device's code."""
    touched: set[tuple[str, Grain, date]] = set()
    for meter in await meters(tx, points=sorted(id_ for id_, days in dirty.items() if days)):
        days = sorted(dirty[meter.point_id])
        months = months_of(days)
        bills = await bills_of(tx, meter, months[0], Grain.MONTH.past(months[-1]))
        stored = await facts_of(tx, meter, Grain.DAY, days[0], days[-1] + DAY)
        for run in runs_of(days):
            for day, fact in (await _measured_days(tx, meter, run)).items():
                if await put(tx, Place(meter, Grain.DAY, day), fact, stored.get(day), now, bills):
                    touched.add((meter.code, Grain.DAY, day))
            await _pass_on(tx, meter, run[-1])
        for month in months:
            if Grain.MONTH.period(month, meter.zone).end <= now and await _month(tx, meter, month, now, bills):
                touched.add((meter.code, Grain.MONTH, month))
    return touched


async def _pass_on(tx: Transaction, meter: Meter, day: date) -> None:
    """Mark the day after one that now ends on another meter or ratio than that day began with: an exchange goes on."""
    found = await facts_of(tx, meter, Grain.DAY, day, day + 2 * DAY)
    if len(found) <= 1:
        return
    end, start = evidence.read(found[day]).end, evidence.read(found[day + DAY]).start
    if end and start and end.multiplier != start.multiplier:
        await mark(tx, [Mark(meter.point_id, start.at)])


async def _measured_days(tx: Transaction, meter: Meter, run: Sequence[date]) -> dict[date, Fact]:
    """Give the facts of days that follow each other, from one look at the readings where that is not in doubt."""
    whole = Period(Grain.DAY.period(run[0], meter.zone).start, Grain.DAY.period(run[-1], meter.zone).end)
    try:
        course = await series(tx, meter, whole)
    except DoubtError:
        return {day: await _measured(tx, meter, Grain.DAY, day) for day in run}
    return {day: _consumed(course, Grain.DAY.period(day, meter.zone)) for day in run}


async def _measured(tx: Transaction, meter: Meter, grain: Grain, first: date) -> Fact:
    period = grain.period(first, meter.zone)
    try:
        course = await series(tx, meter, period)
    except DoubtError as doubt:
        return parked(doubt)
    return _consumed(course, period)


def _consumed(course: Series, period: Period) -> Fact:
    try:
        return fact_of(consume(course, period))
    except DoubtError as doubt:
        return parked(doubt)


async def _month(tx: Transaction, meter: Meter, month: date, now: datetime, bills: Sequence[Bill]) -> bool:
    """Join the days of a month; where one is not known, its two ends may still be."""
    past = Grain.MONTH.past(month)
    days = await facts_of(tx, meter, Grain.DAY, month, past)
    whole = joined([evidence.read(days[day]) for day in sorted(days)]) if len(days) == (past - month).days else None
    fact = whole or await _measured(tx, meter, Grain.MONTH, month)
    before = (await facts_of(tx, meter, Grain.MONTH, month, past)).get(month)
    return await put(tx, Place(meter, Grain.MONTH, month), fact, before, now, bills)


async def _virtuals(tx: Transaction, touched: set[tuple[str, Grain, date]], now: datetime) -> None:
    """Work out the virtual meters that stand on what was touched, each after those that it stands on."""
    if not touched:
        return
    known = {virtual.code: virtual for virtual in await virtual_meters(tx) if not virtual.withdrawn}
    for definition in in_order([virtual.meter for virtual in known.values()]):
        virtual = known[definition.code]
        for grain in Grain:
            for first in sorted({day for code, of, day in touched if of is grain and code in definition.sources}):
                if await _virtual(tx, virtual, grain, first, now):
                    touched.add((virtual.code, grain, first))


async def _virtual(tx: Transaction, virtual: Virtual, grain: Grain, first: date, now: datetime) -> bool:
    before = (await facts_of(tx, virtual, grain, first, grain.past(first))).get(first)
    fact = await _combined(tx, virtual, grain, first)
    return fact is not None and await put(tx, Place(virtual, grain, first), fact, before, now)


async def _combined(tx: Transaction, virtual: Virtual, grain: Grain, first: date) -> Fact | None:
    """Give the fact of a virtual meter; None where no version of it is in force."""
    definition, past = virtual.meter, grain.past(first)
    version = definition.version_on(first)
    if version is not definition.version_on(past - DAY):  # the terms changed within the month
        days = await facts_of(tx, virtual, Grain.DAY, first, past)
        whole = [evidence.read(days[day]) for day in sorted(days)] if len(days) == (past - first).days else []
        unsure = DoubtError(
            f"the terms of {virtual.code} change within the month, and not all of its days are known.",
            f"{virtual.code} 的计算项在月内变更，且并非每日用量均已知。",
        )
        return summed(whole) or parked(unsure)
    if version is None:
        return None
    return await _of_version(tx, virtual, version, grain, first)


async def _of_version(tx: Transaction, virtual: Virtual, version: Version, grain: Grain, first: date) -> Fact:
    sources = await _sources(tx, virtual)
    known: dict[str, Fact | None] = {}
    usual: dict[str, Decimal] = {}
    for term in version.term:
        source = sources.get(term.meter)
        stored = await facts_of(tx, source, grain, first, grain.past(first)) if source else {}
        known[term.meter] = evidence.read(stored[first]) if first in stored else None
        if source and term.missing is Missing.ESTIMATE and (first not in stored or stored[first].quantity is None):
            found = await _usual(tx, source, grain, first)
            usual |= {} if found is None else {term.meter: found}
    return combine(version.term, known, usual)


async def _sources(tx: Transaction, virtual: Virtual) -> dict[str, Meter | Virtual]:
    """Give the meters of its site that count in its unit, by code; a device with two such counters is none of them."""
    held: list[Meter | Virtual] = [*await meters(tx, virtual.site_id), *await virtual_meters(tx, virtual.site_id)]
    fit = [one for one in held if one.unit == virtual.unit]
    times = Counter(one.code for one in fit)
    return {one.code: one for one in fit if times[one.code] == 1}


async def _usual(tx: Transaction, source: Meter | Virtual, grain: Grain, first: date) -> Decimal | None:
    """Give the mean of what was known of the periods before."""
    back = first - USUAL_DAYS * DAY if grain is Grain.DAY else first - USUAL_MONTHS * 31 * DAY
    past: Iterable[Stored] = (await facts_of(tx, source, grain, back, first)).values()
    known = [one.quantity for one in past if one.quantity is not None]
    return sum(known, Decimal(0)) / len(known) if known else None
