"""The steps of an answer about consumption: hours, days and months of a site.  Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from hub.errors import InvalidError
from hub.metering.days import Grain
from rules.model.period import Period, midnight

CELLS_MOST = 50_000  # meters times steps of one page
PERIOD_MOST = timedelta(days=6 * 366)


class By(StrEnum):
    """How long a step is."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


def steps(period: Period, by: By, zone: ZoneInfo, most: int) -> list[Period]:
    """Cut a period into hours, days or months of a site; raises InvalidError where it is not made of whole ones.

    Days have 23, 24 or 25 hours.  ``most`` bounds how many there may be.
    """
    if period.end - period.start > PERIOD_MOST:
        raise InvalidError(f"A period of more than {PERIOD_MOST.days} days is too long; ask for a shorter one.")
    found: list[Period] = []
    at = _first(period.start, by, zone)
    if at != period.start:
        raise InvalidError(_uneven("from", period.start, by, zone))
    while at < period.end:
        past = _next(at, by, zone)
        found.append(Period(at, past))
        at = past
        if len(found) > most:
            raise InvalidError(f"One page holds at most {CELLS_MOST} values (meters times steps); ask for less.")
    if at != period.end:
        raise InvalidError(_uneven("to", period.end, by, zone))
    return found


def _uneven(which: str, at: datetime, by: By, zone: ZoneInfo) -> str:
    right = _first(at, by, zone).astimezone(zone).isoformat()
    return f"'{which}' is not where a {by} of {zone.key} begins; give e.g. {right}."


def _first(at: datetime, by: By, zone: ZoneInfo) -> datetime:
    """Give where the step begins in which ``at`` lies."""
    local = at.astimezone(zone)
    if by is By.HOUR:
        return at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return midnight(local.date() if by is By.DAY else local.date().replace(day=1), zone)


def _next(at: datetime, by: By, zone: ZoneInfo) -> datetime:
    if by is By.HOUR:
        return at + timedelta(hours=1)
    return midnight(Grain(by.value).past(at.astimezone(zone).date()), zone)
