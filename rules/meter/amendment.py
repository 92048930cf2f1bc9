"""What a correction changes in a counter's course, day by day; and whether a face read by hand is plausible.  Pure.

A correction is tried out before anybody asks for it: the course as it stands and the course as it would stand are each
accumulated by ``rules.meter.consumption``, as a bill would, and compared over the local days concerned.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from rules.meter.consumption import Exchange, accumulate, consume
from rules.meter.series import Counter, Series
from rules.model.doubt import DoubtError
from rules.model.period import days_period
from rules.model.quality import Quality
from rules.model.reading import Reading

LONGEST_GAP = timedelta(days=2)  # as bills take it
SETTLED_WITHIN = timedelta(minutes=1)
FASTEST = 3  # times its usual pace: more in one step is asked about
SLACK_SHARE = Decimal("0.001")  # of a modulus: a quiet meter may still do so much


@dataclass(frozen=True, slots=True)
class Amendment:
    """How one moment shall stand; ``quality`` None: no reading shall stand there."""

    at: datetime
    value: float | None
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class Course:
    """What a counter's consumption is reckoned from; ``counter`` is the meter before the first exchange."""

    readings: Sequence[Reading]
    counter: Counter
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class DayEffect:
    """The consumption of a local day before and after, in the point's unit times the multiplier; or a doubt."""

    day: date
    before: Decimal | DoubtError
    after: Decimal | DoubtError

    @property
    def differs(self) -> bool:
        """Whether the day changes."""
        return _told(self.before) != _told(self.after)


@dataclass(frozen=True, slots=True)
class Expected:
    """The face that is to be expected at a moment, from ``low`` to ``high``, past the top where ``rolls``."""

    low: Decimal
    high: Decimal
    modulus: Decimal | None

    def holds(self, face: Decimal) -> bool:
        """Whether a face is plausible."""
        if self.low <= face <= self.high:
            return True
        return self.modulus is not None and self.high >= self.modulus and face <= self.high - self.modulus


def amended(readings: Iterable[Reading], amendments: Iterable[Amendment], point: str) -> list[Reading]:
    """Give readings as they stand with amendments over them, oldest first."""
    held = {reading.at: reading for reading in readings}
    for one in amendments:
        if one.quality is None:
            held.pop(one.at, None)
        else:
            held[one.at] = Reading(point, one.at, one.value, one.quality)
    return [held[at] for at in sorted(held)]


def daily(before: Course, after: Course, days: Iterable[date], zone: ZoneInfo) -> list[DayEffect]:
    """Give the consumption of local days on both courses."""
    one, other = series(before), series(after)
    return [DayEffect(day, _of(one, day, zone), _of(other, day, zone)) for day in days]


def series(course: Course) -> Series | DoubtError:
    """Give the course of a counter as a bill would take it, or the doubt that keeps it from being one."""
    try:
        return accumulate(
            course.readings, course.counter, course.exchanges, longest_gap=LONGEST_GAP, settled_within=SETTLED_WITHIN
        )
    except DoubtError as doubt:
        return doubt


def expected(
    earlier: tuple[datetime, Decimal] | None, last: tuple[datetime, Decimal], at: datetime, counter: Counter
) -> Expected:
    """Give what a face may show at ``at``: no less than ``last``, and at most FASTEST times its pace since ``earlier``.

    Without an earlier reading, or one at the same moment, the face may have done SLACK_SHARE of a turn a day.
    """
    waited_days = Decimal(max((at - last[0]) / timedelta(days=1), 1.0))
    slack = SLACK_SHARE * (counter.modulus if counter.modulus is not None else max(last[1], Decimal(1_000)))
    high = last[1] + slack * waited_days
    if earlier is not None and earlier[0] < last[0]:
        grown = last[1] - earlier[1]
        if grown < 0 and counter.modulus is not None:
            grown += counter.modulus
        pace = max(grown, Decimal(0)) / Decimal((last[0] - earlier[0]) / timedelta(days=1))
        high = last[1] + max(FASTEST * pace, slack / 10) * waited_days
    return Expected(last[1], high.quantize(counter.resolution), counter.modulus)


def _of(course: Series | DoubtError, day: date, zone: ZoneInfo) -> Decimal | DoubtError:
    if isinstance(course, DoubtError):
        return course
    try:
        return consume(course, days_period(day, day + timedelta(days=1), zone)).quantity
    except DoubtError as doubt:
        return doubt


def _told(what: Decimal | DoubtError) -> Decimal | str:
    return what.en if isinstance(what, DoubtError) else what
