"""Half-open spans of time, cut in the time of the site."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Period:
    """From ``start`` (included) to ``end`` (excluded), both aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None or self.end < self.start:
            raise ValueError(f"a period runs forward between two aware times, not {self.start} to {self.end}")

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    def until(self, at: datetime) -> "Period":
        """Give the part of it before ``at``, which is none of it where ``at`` lies before."""
        return Period(self.start, max(self.start, min(at, self.end)))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Give the instant (UTC) at which ``day`` begins at the site."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def days_period(first: date, past: date, zone: ZoneInfo) -> Period:
    """Give the local days ``first`` to ``past`` (excluded), of 23, 24 or 25 hours."""
    return Period(midnight(first, zone), midnight(past, zone))


def month_start(year: int, month: int) -> date:
    """Give the first day of a month; month 13 is January of the next year, month 0 December of the last."""
    years, months = divmod(month - 1, 12)
    return date(year + years, months + 1, 1)


def month_period(year: int, month: int, zone: ZoneInfo) -> Period:
    """Give one calendar month of the site."""
    return days_period(month_start(year, month), month_start(year, month + 1), zone)


def days(first: date, past: date) -> Iterator[date]:
    """Walk the days from ``first`` (included) to ``past`` (excluded)."""
    while first < past:
        yield first
        first += timedelta(days=1)
