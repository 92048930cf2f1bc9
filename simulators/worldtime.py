"""The world's time: quarter hours counted from one absolute epoch, and what the clock on the wall says then."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from simulators.noise import Counts, Numbers

EPOCH = datetime(2023, 12, 31, 16, tzinfo=UTC)  # 2024-01-01T00:00+08:00
QUARTER_MS = 900_000
QUARTERS_PER_DAY = 96
BLOCK_DAYS = 365
BLOCK = BLOCK_DAYS * QUARTERS_PER_DAY  # quarters that are worked out in one go
MAX_BLOCKS = 20  # the world ends after 20 such years: a clock beyond that is wrong

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH_WEEKDAY = 0  # 1 January 2024 was a Monday


class OutsideWorldError(ValueError):
    """The instant lies before the world began or after it ends."""


def milliseconds(at: datetime) -> int:
    """Give whole milliseconds from the epoch to ``at``; raises OutsideWorldError."""
    ms = (at - EPOCH) // _MILLISECOND
    if not 0 <= ms < (MAX_BLOCKS * BLOCK - 1) * QUARTER_MS:
        raise OutsideWorldError(
            f"the simulated world has no {at.isoformat()}: it runs for {MAX_BLOCKS} years from {EPOCH.date()}; "
            "set the clock"
        )
    return ms


def instant(quarter: int) -> datetime:
    """Give the instant (UTC) at which a quarter hour begins."""
    return EPOCH + timedelta(milliseconds=quarter * QUARTER_MS)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Site time of a run of quarter hours: hour of the day [0, 24), weekday (0 = Monday), day of the epoch."""

    hour: Numbers
    weekday: Counts
    day: Numbers  # days since the epoch in site time, with fraction


def local_block(block: int, zone: ZoneInfo) -> LocalTime:
    """Give the site time of every quarter of a block; the offset to UTC is taken once a day."""
    first = block * BLOCK
    offsets = [_offset_quarters(instant(first + d * QUARTERS_PER_DAY), zone) for d in range(BLOCK_DAYS)]
    local = np.arange(first, first + BLOCK, dtype=np.int64) + np.repeat(offsets, QUARTERS_PER_DAY)
    days = local // QUARTERS_PER_DAY
    hour = (local % QUARTERS_PER_DAY) / 4.0
    return LocalTime(hour, (days + _EPOCH_WEEKDAY) % 7, local / QUARTERS_PER_DAY)


def _offset_quarters(at: datetime, zone: ZoneInfo) -> int:
    """Give the quarters by which site time is ahead of the time zone of the epoch."""
    offset = at.astimezone(zone).utcoffset() or timedelta()
    return int((offset - timedelta(hours=8)).total_seconds()) // (QUARTER_MS // 1000)
