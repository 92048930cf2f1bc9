"""A device's clock: what it says, how far it is off, and what its times mean in ours."""

import re
from datetime import UTC, datetime, timedelta

from drivers.errors import MalformedError
from drivers.onvif.markup import Node

OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
FRACTION_DIGITS = 6
AHEAD = timedelta(seconds=2)  # a corrected time may lie so far in the future: then it is now
BEHIND = timedelta(hours=1)  # an event that claims to be older than this before it came is taken as of now
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?")


def device_time(answer: Node, who: str) -> datetime:
    """Give the UTC time of GetSystemDateAndTimeResponse; raises MalformedError."""
    said = answer.first("SystemDateAndTime", "UTCDateTime")
    if said is None:
        raise MalformedError(f"{who} does not say its time in UTC")
    parts = [("Date", "Year"), ("Date", "Month"), ("Date", "Day"), ("Time", "Hour"), ("Time", "Minute")]
    try:
        year, month, day, hour, minute = (int(said.said(*part)) for part in parts)
        second = min(59, int(said.said("Time", "Second")))
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise MalformedError(f"{who} says a time that there is not") from None


def moment(text: str) -> datetime | None:
    """Give an xs:dateTime as aware UTC (one without a zone is taken as UTC); None for what is none."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    fraction = (found[3] or "0")[:FRACTION_DIGITS].ljust(FRACTION_DIGITS, "0")
    zone = "+00:00" if found[4] in (None, "Z") else found[4]
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def happened(said: datetime | None, skew: timedelta, now: datetime) -> datetime:
    """Give when something happened by our clock: the device's time less its skew, or now where that is not sane."""
    if said is None or said < OLDEST:
        return now
    ours = said - skew
    return min(ours, now) if now - BEHIND <= ours <= now + AHEAD else now
