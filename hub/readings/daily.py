"""What many counters counted, day by day of their site, from the daily rollups.

Two readings of a day, its first and its last good one, say what the day counted; at midnight the counter is taken
between the last of one day and the first of the next, in proportion to time, as ``rules.meter`` does for bills.
Counters with nothing unusual are worked out by column (plain_days.py), in whole steps of their resolution.  The others
(a rollover, an exchange, a dropout, a day without a reading) go through ``rules.meter`` here: with all readings of the
days on which a face fell, and with two readings of the others.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hub.errors import InvalidError
from hub.readings import columns, plain_days
from hub.readings.plain_days import LONGEST_GAP, SETTLED_WITHIN
from hub.readings.rows import CounterPoint, DayFaces, GoodReading
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import Consumption, Exchange, accumulate, consume
from rules.meter.rollup import bounds
from rules.meter.series import Counter, Series
from rules.model.doubt import DoubtError
from rules.model.period import Period, days
from rules.model.quality import USABLE, Quality
from rules.model.reading import Reading

SQL = queries(__package__)

COUNTERS_MOST = 1_000
DAYS_MOST = 400
READINGS_MOST = 500_000  # of the days on which faces fell
MARGIN_DAYS = 3  # as far outside its ends may be estimated from
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class DailyUse:
    """What one counter counted on each of ``days``, in ``step`` (resolution times multiplier) of ``unit``.

    Where ``known`` is false it cannot be said: no reading lies on one side of the day, or ``doubts`` says why.
    """

    point_id: int
    point: str
    unit: str
    step: Decimal
    days: tuple[date, ...]
    steps: NDArray[np.int64]
    known: NDArray[np.bool_]
    estimated: NDArray[np.bool_]
    doubts: Mapping[date, DoubtError]

    def quantities(self) -> Iterator[tuple[date, Decimal | None, bool]]:
        """Walk the days with what was counted (exact) and whether an end of the day was estimated."""
        columns = self.steps.tolist(), self.known.tolist(), self.estimated.tolist()
        for day, steps, known, estimated in zip(self.days, *columns, strict=True):
            yield day, steps * self.step if known else None, estimated

    @property
    def total(self) -> Decimal | None:
        """What was counted on all days; None where one is not known."""
        return int(self.steps.sum()) * self.step if self.known.all() else None


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
    asked = {"points": [*points], "first": first, "past": past, "margin": MARGIN_DAYS}
    found = await tx.all(CounterPoint, SQL["counters"], asked, afresh=True)
    held = await columns.read(tx, SQL["face_columns"], asked, plain_days.LAYOUT)
    every, times, replaced = tuple(days(first, past)), multipliers or {}, exchanges or {}
    plain = plain_days.work_out(held, found, len(every))
    others = [one for n, one in enumerate(found) if not plain.plain[n] or replaced.get(one.point_id)]
    courses = await _courses(tx, others, asked) if others else {}
    used = []
    for n, one in enumerate(found):
        multiplier = times.get(one.point_id, ONE)
        if (course := courses.get(one.point_id)) is None:
            step, laid = one.resolution * multiplier, (plain.steps[n], plain.known[n], plain.estimated[n])
            used.append(DailyUse(one.point_id, one.point, one.unit, step, every, *laid, {}))
        else:
            counter = Counter(one.resolution, one.modulus, multiplier)
            used.append(_judged(one, every, zone, Course(course, counter, replaced.get(one.point_id, ()))))
    return used


async def _courses(tx: Transaction, of: Sequence[CounterPoint], asked: Mapping[str, Any]) -> dict[int, list[Reading]]:
    """Give the readings by which the days of these points are judged: two a day, all of those on which a face fell."""
    codes = {one.point_id: one.point for one in of}
    faces = await tx.all(DayFaces, SQL["day_faces"], {**asked, "points": [*codes]}, afresh=True)
    fallen = [face for face in faces if face.falls]
    spans = {
        "points": [face.point_id for face in fallen], "starts": [face.starts_at for face in fallen],
        "ends": [face.ends_at for face in fallen], "good": list(USABLE), "most": READINGS_MOST,
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


def _judged(one: CounterPoint, every: tuple[date, ...], zone: ZoneInfo, course: Course) -> DailyUse:
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
    return DailyUse(
        one.point_id, one.point, one.unit, step, every,
        np.array([0 if used is None else int(used.quantity / step) for used in found], np.int64),
        np.array([used is not None for used in found], bool),
        np.array([used is not None and used.estimated for used in found], bool), doubts,
    )  # fmt: skip
