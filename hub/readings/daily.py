"""What many counters counted, day by day of their site, from the daily rollups.

Two readings of a day, its first and its last good one, say what the day counted; at midnight the counter is taken
between the last of one day and the first of the next, in proportion to time, as ``rules.meter`` does for bills.
Counters with nothing unusual are worked out where the rollups lie, in whole steps of their resolution.  The others (a
rollover, an exchange, a dropout, a day without a reading) go through ``rules.meter`` here: with all readings of the
days on which a face fell, and with two readings of the others.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hub.errors import InvalidError
from hub.readings.rows import DayFaces, GoodReading, PlainDays
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import Consumption, Exchange, accumulate, consume
from rules.meter.rollup import bounds
from rules.meter.series import Counter, Series
from rules.model.doubt import DoubtError
from rules.model.period import Period, days
from rules.model.quality import Quality
from rules.model.reading import Reading

SQL = queries(__package__)

COUNTERS_MOST = 1_000
DAYS_MOST = 400
READINGS_MOST = 500_000  # of the days on which faces fell
MARGIN_DAYS = 3  # as far outside its ends may be estimated from
LONGEST_GAP = timedelta(days=2)  # these two as for bills
SETTLED_WITHIN = timedelta(minutes=1)
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class DailyUse:
    """What one counter counted on each of ``days``, in ``step`` (resolution times multiplier) of ``unit``.

    ``steps`` None: it is not known, and where there is more to say than that a reading is missing, ``doubts`` says why.
    """

    point_id: int
    point: str
    unit: str
    step: Decimal
    days: tuple[date, ...]
    steps: Sequence[int | None]
    estimated: Sequence[bool]
    doubts: Mapping[date, DoubtError]

    def quantities(self) -> Iterator[tuple[date, Decimal | None, bool]]:
        """Walk the days with what was counted (exact) and whether an end of the day was estimated."""
        for day, steps, estimated in zip(self.days, self.steps, self.estimated, strict=True):
            yield day, None if steps is None else steps * self.step, estimated

    @property
    def total(self) -> Decimal | None:
        """What was counted on all days; None where one is not known."""
        known = [steps for steps in self.steps if steps is not None]
        return sum(known) * self.step if len(known) == len(self.steps) else None


async def daily_consumption(
    tx: Transaction,
    points: Sequence[int],
    span: tuple[date, date],
    zone: ZoneInfo,
    multipliers: Mapping[int, Decimal] | None = None,
    exchanges: Mapping[int, Sequence[Exchange]] | None = None,
) -> list[DailyUse]:
    """Give what counters counted on the local days from the first of ``span`` to before its second, by code.

    ``multipliers`` are the CT/PT ratios by point (missing: 1); of a point with ``exchanges``, the one before the first.
    Points that the transaction may not see are left out.  Raises InvalidError for too many points or days.
    """
    first, past = span
    if len(points) > COUNTERS_MOST or (past - first).days > DAYS_MOST:
        raise InvalidError(f"Ask for at most {COUNTERS_MOST} counters and {DAYS_MOST} days at once.")
    asked = {"points": [*points], "first": first, "past": past, "margin": MARGIN_DAYS,
             "settled_ms": SETTLED_WITHIN // timedelta(milliseconds=1)}  # fmt: skip
    times = multipliers or {}
    found = await tx.all(PlainDays, SQL["plain_days"], asked, afresh=True)
    replaced = exchanges or {}
    others = [one for one in found if not one.plain or replaced.get(one.point_id)]
    courses = await _courses(tx, others, asked) if others else {}
    every = tuple(days(first, past))
    used = []
    for one in found:
        multiplier = times.get(one.point_id, ONE)
        if (course := courses.get(one.point_id)) is None:
            used.append(_plain(one, every, multiplier))
        else:
            counter = Counter(one.resolution, one.modulus, multiplier)
            meter = Course(course, counter, replaced.get(one.point_id, ()))
            used.append(_judged(one, every, zone, meter))
    return used


def _plain(one: PlainDays, every: tuple[date, ...], multiplier: Decimal) -> DailyUse:
    steps: list[int | None] = one.steps
    estimated = one.estimated
    if len(steps) != len(every):
        by_place = dict(zip(one.places, zip(one.steps, one.estimated, strict=True), strict=True))
        laid = [by_place.get(place, (None, False)) for place in range(len(every))]
        steps, estimated = [found for found, _ in laid], [guess for _, guess in laid]
    return DailyUse(one.point_id, one.point, one.unit, one.resolution * multiplier, every, steps, estimated, {})


async def _courses(tx: Transaction, of: Sequence[PlainDays], asked: Mapping[str, Any]) -> dict[int, list[Reading]]:
    """Give the readings by which the days of these points are judged: two a day, all of those on which a face fell."""
    codes = {one.point_id: one.point for one in of}
    faces = await tx.all(DayFaces, SQL["day_faces"], {**asked, "points": [*codes]}, afresh=True)
    fallen = [face for face in faces if face.falls]
    spans = {
        "points": [face.point_id for face in fallen], "starts": [face.starts_at for face in fallen],
        "ends": [face.ends_at for face in fallen], "good": int(Quality.GOOD), "most": READINGS_MOST,
    }  # fmt: skip
    raw = await tx.all(GoodReading, SQL["good_readings"], spans, afresh=True) if fallen else []
    if len(raw) == READINGS_MOST:
        raise InvalidError("Too many counters fell on too many of these days; ask for fewer counters or days.")
    held: dict[int, list[Reading]] = {point: [] for point in codes}
    for face in faces:
        if not face.falls:
            ends = {face.first_at: face.first, face.last_at: face.last}
            held[face.point_id] += [
                Reading(codes[face.point_id], at, value, Quality.GOOD) for at, value in ends.items()
            ]
    for one in raw:
        held[one.point_id].append(Reading(codes[one.point_id], one.at, one.value, Quality.GOOD))
    return {point: sorted(readings, key=lambda reading: reading.at) for point, readings in held.items()}


@dataclass(frozen=True, slots=True)
class Course:
    """The good readings of one counter in order, how it is read before its first exchange, and its exchanges."""

    readings: Sequence[Reading]
    counter: Counter
    exchanges: Sequence[Exchange]

    def series(self) -> Series:
        """Give what had been counted when; raises DoubtError."""
        if not self.readings:
            raise DoubtError("The meter has no usable reading in these days.", "该表在这些天没有可用读数。")
        return accumulate(
            self.readings, self.counter, self.exchanges, longest_gap=LONGEST_GAP, settled_within=SETTLED_WITHIN
        )

    def around(self, period: Period) -> "Course":
        """Give the part that says what one period counted: from the last reading before it to the first after it."""
        times = [reading.at for reading in self.readings]
        first = max(bisect_right(times, period.start) - 1, 0)
        readings = self.readings[first : bisect_left(times, period.end) + 1]
        since = readings[0].at if readings else period.start
        counter = next(
            (e.counter for e in sorted(self.exchanges, key=_at, reverse=True) if e.at <= since), self.counter
        )
        inside = [exchange for exchange in self.exchanges if since < exchange.at <= period.end]
        return Course(readings, counter, inside)


def _at(exchange: Exchange) -> datetime:
    return exchange.at


def _judged(one: PlainDays, every: tuple[date, ...], zone: ZoneInfo, course: Course) -> DailyUse:
    """Judge each day by the whole course, or where that leaves a doubt, by what lies around the day alone."""
    try:
        whole: Series | None = course.series()
    except DoubtError:
        whole = None
    found: list[Consumption | None] = []
    doubts: dict[date, DoubtError] = {}
    for day in every:
        period = bounds(day, zone)
        try:
            found.append(consume(whole or course.around(period).series(), period))
        except DoubtError as doubt:
            doubts[day] = doubt
            found.append(None)
    known = [used.quantity for used in found if used is not None]
    step = min((Decimal(1).scaleb(int(q.as_tuple().exponent)) for q in known), default=one.resolution)
    steps = [None if used is None else int(used.quantity / step) for used in found]
    estimated = [used is not None and used.estimated for used in found]
    return DailyUse(one.point_id, one.point, one.unit, step, every, steps, estimated, doubts)
