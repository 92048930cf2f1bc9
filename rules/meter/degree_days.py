"""Degree days: how cold or warm a local day was against a base temperature.

| method | heating degree days of a day | source |
|---|---|---|
| hours | mean over the hours of max(0, base − θ) | ISO 15927-6:2007, accumulated hourly differences |
| mean | max(0, base − mean of the hours) | the daily mean of ISO 15927-6 |
| mid_range | max(0, base − (θmax + θmin) / 2) | where only the extremes are known |
| met_office | by four cases of θmax and θmin around the base | Met Office / UKCP09, table of the degree-day equations |

Cooling degree days are the same with the sign turned.  A day has 23, 24 or 25 hours.  Up to ``hours_missing_max`` of
them may be missing, and the result is marked; with more missing there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from rules.model.period import days_period

HOURS_MISSING_MAX = 3
_HOUR = timedelta(hours=1)
_HALF, _QUARTER = Decimal("0.5"), Decimal("0.25")


class Sense(StrEnum):
    """Whether it had to be heated or cooled."""

    HEATING = "heating"
    COOLING = "cooling"


class Method(StrEnum):
    """How a day's degree days are worked out."""

    HOURS = "hours"
    MEAN = "mean"
    MID_RANGE = "mid_range"
    MET_OFFICE = "met_office"


@dataclass(frozen=True, slots=True)
class DegreeDay:
    """Degree days (K·d) of one local day from ``known`` of ``hours`` hours; None: too many are missing."""

    day: date
    value: Decimal | None
    known: int
    hours: int

    @property
    def estimated(self) -> bool:
        """Whether some hours are missing."""
        return self.known < self.hours


def degree_day(
    hourly: Mapping[datetime, Decimal],
    day: date,
    zone: ZoneInfo,
    base: Decimal,
    sense: Sense = Sense.HEATING,
    method: Method = Method.MEAN,
    hours_missing_max: int = HOURS_MISSING_MAX,
) -> DegreeDay:
    """Work out one local day from the mean temperature (°C) of each hour, by the hour's start (UTC)."""
    span = days_period(day, day + timedelta(days=1), zone)
    hours = round((span.end - span.start) / _HOUR)
    found = [hourly[at] for n in range(hours) if (at := span.start + n * _HOUR) in hourly]
    if not found or hours - len(found) > hours_missing_max:
        return DegreeDay(day, None, len(found), hours)
    below = [base - one if sense is Sense.HEATING else one - base for one in found]
    return DegreeDay(day, _value(below, method), len(found), hours)


def _value(below: list[Decimal], method: Method) -> Decimal:
    """Give the degree days from how far each hour was on the side that counts."""
    zero = Decimal(0)
    match method:
        case Method.HOURS:
            return sum((max(one, zero) for one in below), zero) / len(below)
        case Method.MEAN:
            return max(sum(below, zero) / len(below), zero)
        case Method.MID_RANGE:
            return max((max(below) + min(below)) / 2, zero)
        case Method.MET_OFFICE:
            return _met_office(max(below), -min(below))


def _met_office(below: Decimal, above: Decimal) -> Decimal:
    """``below`` is how far the coldest moment lies below the base, ``above`` how far the warmest lies above it."""
    if below <= 0:
        return Decimal(0)
    if above <= 0:
        return (below - above) / 2
    return below * _HALF - above * _QUARTER if above < below else below * _QUARTER


def total(found: list[DegreeDay]) -> Decimal | None:
    """Add up days; None when one of them is not known: a missing day is not a mild one."""
    if any(one.value is None for one in found):
        return None
    return sum((one.value or Decimal(0) for one in found), Decimal(0))
