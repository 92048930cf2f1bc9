"""The course of a counter around a period, from what is stored: the one way in which consumption reads readings."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hub.metering.rows import Meter, StoredReading
from hub.readings import exchanges
from hub.store.database import Transaction
from hub.store.sql import queries
from rules.meter.consumption import Exchange, accumulate
from rules.meter.demand import QUARTER
from rules.meter.series import Counter, Series
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.quality import USABLE, Quality
from rules.model.reading import Reading

SQL = queries(__package__)

# Readings around a period that may help to estimate its ends, how far apart two may lie for that, and how close they
# must lie for the moment between them to count as read (a live poll never falls on midnight to the millisecond).
MARGIN = timedelta(days=2)
LONGEST_GAP = timedelta(days=2)
SETTLED_WITHIN = timedelta(minutes=1)


async def series(tx: Transaction, meter: Meter, period: Period, step: timedelta = QUARTER) -> Series:
    """Give a counter's course over ``period``; raises DoubtError when it cannot be followed.

    It shows the first and the last reading of every ``step``.

    What lies outside helps to judge its ends; where that is itself in doubt (a reset a day later), the readings from
    the last before to the first after the period decide alone.
    """
    until = period.end + MARGIN
    asked = {
        "point": meter.point_id,
        "since": period.start - MARGIN,
        "until": until,
        "good": list(USABLE),
        "step": step,
    }
    stored = await tx.all(StoredReading, SQL["usable_readings"], asked)
    if not stored:
        raise DoubtError(
            f"{meter.point} has no usable reading in this period; look at its gateway, or enter a manual reading.",
            f"{meter.point} 在该时段没有可用读数；请检查网关，或录入人工抄表。",
        )
    held = [Reading(meter.point, one.at, one.value, Quality.GOOD) for one in stored]
    try:
        return await _followed(tx, meter, held, until)
    except DoubtError:
        return await _followed(tx, meter, near(held, period), period.end)


async def _followed(tx: Transaction, meter: Meter, held: Sequence[Reading], until: datetime) -> Series:
    return follow(meter, held, *await exchanges.meter(tx, meter.point_id, meter.counter, held[0].at, until))


def follow(meter: Meter, held: Sequence[Reading], counter: Counter, swaps: Sequence[Exchange]) -> Series:
    """Give the course that readings show, from the counter that stood there first on; raises DoubtError."""
    rated = [replace(swap, counter=replace(swap.counter, hourly_max=meter.hourly_max)) for swap in swaps]
    first = replace(counter, hourly_max=meter.hourly_max)
    return accumulate(held, first, rated, longest_gap=LONGEST_GAP, settled_within=SETTLED_WITHIN)


def near(held: Sequence[Reading], period: Period) -> Sequence[Reading]:
    """Give the readings from the last before to the first after a period."""
    times = [one.at for one in held]
    first = max(bisect_right(times, period.start) - 1, 0)
    return held[first : bisect_left(times, period.end) + 1] or held
