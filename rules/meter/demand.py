"""Demand: the mean power of each quarter of an hour, from counter differences, and the highest of a month.

Power is energy over time: 25 kWh in 15 minutes are 100 kW.  Blocks start at the site's midnight (fixed), or every few
minutes (sliding).  A block whose ends are interpolated within one block's length is marked; one that lies in a longer
gap has no demand of its own.  Such a block never gives a maximum, and a maximum beside it is *certain* only if all
that was counted in the gap, taken in one block, would still be less.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from rules.meter.series import Boundary, Series
from rules.model.doubt import DoubtError
from rules.model.period import Period, days, midnight

QUARTER = timedelta(minutes=15)
BLOCKS_MAX = 50_000  # a month, sliding by the minute
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Block:
    """One interval: energy counted in it, mean power per hour (kW for kWh); None where it is not known.

    ``most`` is what the power cannot have exceeded where it is not known; None: nothing is known of it at all.
    """

    start: datetime
    end: datetime
    energy: Decimal | None
    power: Decimal | None
    estimated: bool = False
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest demand, when, and how sure that is: ``unknown`` of ``blocks`` have no demand."""

    power: Decimal
    start: datetime
    estimated: bool
    certain: bool
    unknown: int
    blocks: int


def blocks(period: Period, zone: ZoneInfo, step: timedelta = QUARTER, every: timedelta | None = None) -> list[Period]:
    """Cut a period into blocks of ``step`` from each local midnight, or starting ``every`` so long (sliding).

    Only whole blocks inside the period; raises ValueError for more than BLOCKS_MAX.
    """
    pace = every or step
    if pace <= timedelta(0) or step <= timedelta(0) or (period.end - period.start) / pace > BLOCKS_MAX:
        raise ValueError(f"a period is cut into 1 to {BLOCKS_MAX} blocks; ask for a shorter one")
    return [Period(at, at + step) for at in _starts(period, zone, pace) if period.start <= at <= period.end - step]


def _starts(period: Period, zone: ZoneInfo, pace: timedelta) -> Iterator[datetime]:
    first = period.start.astimezone(zone).date()
    last = period.end.astimezone(zone).date()
    for day in days(first, last + timedelta(days=1)):
        at, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
        while at < end:
            yield at
            at += pace


def demand(
    series: Series, period: Period, zone: ZoneInfo, step: timedelta = QUARTER, every: timedelta | None = None
) -> list[Block]:
    """Give the demand of every block of ``period``."""
    return [_block(series, span, step) for span in blocks(period, zone, step, every)]


def _block(series: Series, span: Period, step: timedelta) -> Block:
    hours = Decimal(str(step.total_seconds())) / _HOUR_S
    try:
        start, end = series.boundary(span.start), series.boundary(span.end, closing=True)
    except DoubtError:
        return Block(span.start, span.end, None, None, most=_most(series, span, hours))
    if _too_wide(start, step) or _too_wide(end, step):
        return Block(span.start, span.end, None, None, most=_most(series, span, hours))
    energy = end.total - start.total
    return Block(span.start, span.end, energy, energy / hours, start.estimated or end.estimated)


def _too_wide(boundary: Boundary, step: timedelta) -> bool:
    return boundary.estimated and boundary.basis[-1].at - boundary.basis[0].at > step


def _most(series: Series, span: Period, hours: Decimal) -> Decimal | None:
    """Give the power if all that was counted between the readings around a block had been counted in it."""
    before, after = series.around(span.start, span.end)
    return None if before is None or after is None else (after.total - before.total) / hours


def peak(found: Sequence[Block]) -> Peak | None:
    """Give the highest demand, the earliest of equals; None when no block has one."""
    known = [block for block in found if block.power is not None]
    if not known:
        return None
    top = max(known, key=lambda block: (block.power or Decimal(0), -block.start.timestamp()))
    assert top.power is not None
    unknown = [block for block in found if block.power is None]
    certain = all(block.most is not None and block.most <= top.power for block in unknown)
    return Peak(top.power, top.start, top.estimated, certain, len(unknown), len(found))


def coincident(meters: Mapping[str, Sequence[Block]]) -> list[Block]:
    """Add the demand of several meters block by block (cut alike); not known where one of them is not."""
    return [_together(some) for some in zip(*meters.values(), strict=True)]


def _together(some: Sequence[Block]) -> Block:
    start, end = some[0].start, some[0].end
    if any((block.start, block.end) != (start, end) for block in some):
        raise ValueError("coincident demand needs blocks that are cut alike")
    if all(block.power is not None for block in some):
        energy = sum((block.energy or Decimal(0) for block in some), Decimal(0))
        power = sum((block.power or Decimal(0) for block in some), Decimal(0))
        return Block(start, end, energy, power, any(block.estimated for block in some))
    bounds = [block.most if block.power is None else block.power for block in some]
    most = None if None in bounds else sum((bound or Decimal(0) for bound in bounds), Decimal(0))
    return Block(start, end, None, None, most=most)
