"""Time-of-use bands: the windows of a local day, proven to cover it, and where they change on a real day."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from rules.model.definition import Definition
from rules.model.period import Period, days_period

DAY_MIN = 24 * 60


class Band(StrEnum):
    """What an hour costs: the five grades of Chinese time-of-use prices."""

    SHARP = "sharp"
    PEAK = "peak"
    FLAT = "flat"
    VALLEY = "valley"
    DEEP_VALLEY = "deep_valley"


BAND_NAMES: dict[Band, tuple[str, str]] = {
    Band.SHARP: ("尖", "Sharp"),
    Band.PEAK: ("峰", "Peak"),
    Band.FLAT: ("平", "Flat"),
    Band.VALLEY: ("谷", "Valley"),
    Band.DEEP_VALLEY: ("深谷", "Deep valley"),
}


def _minutes(value: Any) -> int:
    # Unquoted, YAML 1.1 reads 22:00 as the number 1320: only text is a time of day.
    found = re.fullmatch(r"(\d\d):(\d\d)", value) if isinstance(value, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else DAY_MIN + 1  # noqa: PLR2004 - an hour
    if minutes > DAY_MIN:
        raise ValueError(f"{value!r} is not a time of day; write it in quotes, from '00:00' to '24:00'")
    return minutes


Clock = Annotated[int, BeforeValidator(_minutes)]


class Window(Definition):
    """One stretch of every day, in minutes after local midnight, half-open; it may run across midnight."""

    model_config = ConfigDict(populate_by_name=True)

    start_min: Clock = Field(alias="from")
    end_min: Clock = Field(alias="to")
    band: Band

    def pieces(self) -> list[tuple[int, int, Band]]:
        """Give the window as pieces that do not cross midnight."""
        if self.start_min < self.end_min:
            return [(self.start_min, self.end_min, self.band)]
        whole = [(self.start_min, DAY_MIN, self.band), (0, self.end_min, self.band)]
        return [piece for piece in whole if piece[0] < piece[1]]


class Schedule(Definition):
    """The windows of a day in some months of the year; parsing proves that they cover 24 h exactly once."""

    months: Annotated[tuple[Annotated[int, Field(ge=1, le=12)], ...], Field(min_length=1)] = tuple(range(1, 13))
    windows: Annotated[tuple[Window, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _covers_the_day(self) -> "Schedule":
        pieces = self.pieces()
        for (_, end, band), (start, _, other) in pairwise([(0, 0, pieces[0][2]), *pieces, (DAY_MIN, 0, pieces[-1][2])]):
            if end < start:
                raise ValueError(f"no band from {_clock(end)} to {_clock(start)}; add a window for it")
            if end > start:
                raise ValueError(f"{band} and {other} both hold from {_clock(start)}; let each minute have one band")
        return self

    def pieces(self) -> list[tuple[int, int, Band]]:
        """Give all windows cut at midnight, in time order."""
        return sorted(piece for window in self.windows for piece in window.pieces())

    def band(self, minute: float) -> Band:
        """Give the band of a minute after local midnight."""
        return next(band for start, end, band in self.pieces() if start <= minute < end)

    def quarters(self) -> dict[Band, int]:
        """Count the quarter-hours of a day of 24 h in each band."""
        every = [self.band(minute) for minute in range(0, DAY_MIN, 15)]
        return {band: every.count(band) for band in Band if band in every}


ALL_DAY = Schedule.model_validate({"windows": [{"from": "00:00", "to": "24:00", "band": Band.FLAT}]})


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def spans(schedule: Schedule, day: date, zone: ZoneInfo) -> list[tuple[Period, Band]]:
    """Give the stretches of one local day with their band, in time order; they tile the day of 23, 24 or 25 h.

    The wall clock decides: an hour that is skipped costs nobody, an hour that comes twice has its band twice.
    """
    whole = days_period(day, day + timedelta(days=1), zone)
    cuts = sorted({whole.start, whole.end, *_shifts(whole, zone), *_edges(schedule, day, zone, whole)})
    found = [(Period(start, end), schedule.band(_minute(start, zone))) for start, end in pairwise(cuts)]
    return _joined(found)


def _minute(at: datetime, zone: ZoneInfo) -> int:
    local = at.astimezone(zone)
    return local.hour * 60 + local.minute


def _edges(schedule: Schedule, day: date, zone: ZoneInfo, whole: Period) -> Iterable[datetime]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    for start, _, _ in schedule.pieces():
        for fold in (0, 1):
            at = midnight.replace(hour=start // 60, minute=start % 60, fold=fold).astimezone(whole.start.tzinfo)
            if at in whole:
                yield at


def _shifts(whole: Period, zone: ZoneInfo) -> Iterable[datetime]:
    """Find the moment at which the zone's offset changes within a day, to the minute."""
    low, high = whole.start, whole.end
    before = low.astimezone(zone).utcoffset()
    if high.astimezone(zone).utcoffset() == before:
        return
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) // 2
        middle -= timedelta(seconds=middle.second, microseconds=middle.microsecond)
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    yield high


def _joined(found: Sequence[tuple[Period, Band]]) -> list[tuple[Period, Band]]:
    joined: list[tuple[Period, Band]] = []
    for period, band in found:
        if joined and joined[-1][1] == band:
            joined[-1] = (Period(joined[-1][0].start, period.end), band)
        else:
            joined.append((period, band))
    return joined
