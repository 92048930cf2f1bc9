"""Rollups of readings: what a span of time knows of one point, how spans merge, and for how long a reading speaks.

A gauge is sent when it changes, so a mean of readings is not a mean of time.  Each good reading speaks from its moment
until the next one of whatever quality, at most for the *hold*:

    hold = 1.5 x usual spacing, the usual spacing being kept between 60 s and 2,400 s (so a hold between 90 s and 1 h)
    usual spacing = mean of the spacings without the longest (a single outage does not make itself usual)

Spacings are those between the readings of the span and the last one of the hour before it.  Seconds for which a reading
speaks are *covered*; ``integral`` is the value over them, and ``integral / covered_s`` the time-weighted mean.

| readings of an hour | covered |
|---|---|
| every 15 min, from the start | 3,600 s |
| every 15 min, the one at half past missing | 15 to 37.5 min after the hour by one reading, 7.5 min lost: 3,150 s |
| every 10 s until a quarter past, then none | 900 s and a hold of 90 s: 980 s (the last one came 10 s before) |
| one, and none in the hour before | 90 s |

Bad readings count in ``n`` alone.  A span without any reading has no rollup: missing is never zero.  A day is the merge
of its whole UTC hours and of the pieces of hours that its midnights cut (zones with half hours and 45 minutes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from rules.model.period import Period, days, midnight
from rules.model.reading import Reading

HOUR = timedelta(hours=1)
LOOK_BACK = HOUR
USUAL_MIN_S, USUAL_MAX_S = 60.0, 2_400.0
HOLD_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Rollup:
    """What a span knows: ``n`` readings of every quality, the rest of the good ones alone; no good one, no value.

    ``falls`` counts good readings below the good one before them: a rollover, an exchange, a dropout.
    """

    n: int
    good_n: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    first: float | None = None
    first_at: datetime | None = None
    last: float | None = None
    last_at: datetime | None = None
    covered_s: float = 0.0
    integral: float = 0.0
    falls: int = 0

    @property
    def mean(self) -> float | None:
        """The time-weighted mean; None where nothing is covered."""
        return self.integral / self.covered_s if self.covered_s else None


def roll(readings: Sequence[Reading], span: Period) -> Rollup | None:
    """Give the rollup of ``span`` from a point's readings, sorted, at least from an hour before; None: no reading."""
    inside = [r for r in readings if r.at in span]
    if not inside:
        return None
    before = [r for r in readings if span.start - LOOK_BACK <= r.at < span.start][-1:]
    course = before + inside
    held = hold_s(course)
    covered = integral = 0.0
    for reading, end in zip(course, [*(r.at for r in course[1:]), span.end], strict=True):
        if reading.quality.usable and reading.value is not None:
            until = min(end, reading.at + timedelta(seconds=held), span.end)
            seconds = max((until - max(reading.at, span.start)).total_seconds(), 0.0)
            covered += seconds
            integral += reading.value * seconds
    good = [(r.at, r.value) for r in inside if r.quality.usable and r.value is not None]
    if not good:
        return Rollup(len(inside), covered_s=covered, integral=integral)
    values = [value for _, value in good]
    falls = sum(here < there for there, here in pairwise(values))
    (first_at, first), (last_at, last) = good[0], good[-1]
    return Rollup(
        len(inside), len(good), sum(values), min(values), max(values),
        first, first_at, last, last_at, covered, integral, falls,
    )  # fmt: skip


def hold_s(course: Sequence[Reading]) -> float:
    """Give for how many seconds at most a reading of this course speaks."""
    spacings = [(after.at - before.at).total_seconds() for before, after in pairwise(course)]
    if not spacings:
        usual = 0.0
    elif len(spacings) == 1:
        usual = spacings[0]
    else:
        usual = (sum(spacings) - max(spacings)) / (len(spacings) - 1)
    return HOLD_FACTOR * min(max(usual, USUAL_MIN_S), USUAL_MAX_S)


def merge(parts: Sequence[Rollup]) -> Rollup | None:
    """Give the rollup of spans that follow each other, in their order; None of none."""
    if not parts:
        return None
    good = [part for part in parts if part.good_n]
    whole = Rollup(
        sum(part.n for part in parts),
        covered_s=sum(part.covered_s for part in parts),
        integral=sum(part.integral for part in parts),
    )
    if not good:
        return whole
    between = sum(_lower(after.first, before.last) for before, after in pairwise(good))
    return Rollup(
        whole.n,
        sum(part.good_n for part in good),
        sum(part.sum for part in good if part.sum is not None),
        min(part.min for part in good if part.min is not None),
        max(part.max for part in good if part.max is not None),
        good[0].first, good[0].first_at, good[-1].last, good[-1].last_at,
        whole.covered_s, whole.integral, between + sum(part.falls for part in good),
    )  # fmt: skip


def _lower(here: float | None, there: float | None) -> bool:
    return here is not None and there is not None and here < there


def pieces(span: Period) -> list[Period]:
    """Cut a span at the UTC hours."""
    cuts = [span.start]
    hour = span.start.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
    while hour < span.end:
        cuts.append(hour)
        hour += HOUR
    return [Period(start, end) for start, end in pairwise([*cuts, span.end])]


def roll_day(readings: Sequence[Reading], day: date, zone: ZoneInfo) -> Rollup | None:
    """Give the rollup of a local day of 23, 24 or 25 hours, or whatever its zone makes of it; None: no reading."""
    rolled = [roll(readings, piece) for piece in pieces(bounds(day, zone))]
    return merge([part for part in rolled if part is not None])


def bounds(day: date, zone: ZoneInfo) -> Period:
    """Give a local day as a period."""
    return Period(midnight(day, zone), midnight(day + timedelta(days=1), zone))


def days_of(hour: datetime, zone: ZoneInfo) -> list[date]:
    """Give the local days whose rollup the readings of a UTC hour touch: by what they are, and by what they hold."""
    last = (hour + 2 * HOUR - timedelta(microseconds=1)).astimezone(zone).date()
    return list(days(hour.astimezone(zone).date(), last + timedelta(days=1)))
