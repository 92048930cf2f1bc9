"""Local days and months in UTC, and which of them are over.  Pure."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from rules.model.period import Period, days_period, month_start

DAY = timedelta(days=1)
RUN_DAYS_MAX = 31


class Grain(StrEnum):
    """How long the period of a fact is."""

    DAY = "day"
    MONTH = "month"

    def past(self, first: date) -> date:
        """Give the first day after the period that begins with ``first``."""
        return first + DAY if self is Grain.DAY else month_start(first.year, first.month + 1)

    def period(self, first: date, zone: ZoneInfo) -> Period:
        """Give the period in UTC."""
        return days_period(first, self.past(first), zone)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    """Give the local day of a moment."""
    return at.astimezone(zone).date()


def days_of(start: datetime, past: datetime, zone: ZoneInfo) -> Iterable[date]:
    """Give the local days that a span touches."""
    day, last = day_of(start, zone), day_of(past - datetime.resolution, zone)
    while day <= last:
        yield day
        day += DAY


def runs_of(days: Iterable[date]) -> list[list[date]]:
    """Give days in order, cut where one is missing and after a month's worth."""
    runs: list[list[date]] = []
    for day in sorted(days):
        if runs and day - runs[-1][-1] == DAY and len(runs[-1]) < RUN_DAYS_MAX:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def months_of(days: Iterable[date]) -> list[date]:
    """Give the first days of the months of some days."""
    return sorted({day.replace(day=1) for day in days})
