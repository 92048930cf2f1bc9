"""From counter readings to consumption: rollover, exchange, gap, estimate; missing is never zero.

A counter shows a *face* that grows, rolls over at its ``modulus`` and starts again when the meter is exchanged.
``accumulate`` turns the readings into a `Series`: at each reading, what has been consumed since the first one.
``consume`` takes the difference of two moments of that series, with the evidence.

The rules, worked on a face with modulus 10,000.0 kWh and multiplier 40 (rollover as in Oracle Utilities CC&B):

| face before | then | judged as | kWh |
|---|---|---|---|
| 9,987.0 | 13.0 | rollover: 10,000 − 9,987 + 13 = 26 units, below half the modulus | 1,040 |
| 500.0 | 499.0 | a fall; over the top it would be 9,999 units, not plausible | doubt: record an exchange |
| 500.0 | **0.0**, 501.0 | the zero came and went: that reading is rejected, with the reason | 40 |
| 9,987.0 | 13.0, 9,990.0 | over the top and back at once, not plausible either | doubt |
| 500.0 | 9,500.0, 501.0 | up and back over the top: one of two such steps is half the modulus or more | doubt |

Where the meter's rating is known (``Counter.hourly_max``), a step has to fit into it as well: 800 kW count at most
200 kWh, 5 units of this face, in a quarter of an hour.

| face before | then, every 15 min | judged as | kWh |
|---|---|---|---|
| 500.0 | **700.0**, 501.0 | faster than rated, and back: that reading is rejected, with the reason | 40 |
| 500.0 | 700.0, 701.0 | faster than rated, and it goes on from there | doubt |

A boundary without a reading of its own is interpolated in time between its neighbours and rounded to the face's
resolution; it is *estimated* unless both neighbours show the same face (a counter that did not move leaves no doubt)
or lie so close that the caller takes the moment as read (``settled_within``: a counter that is polled every second).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from rules.meter.course import PLAUSIBLE_SHARE, Course
from rules.meter.series import Boundary, Counter, Exchange, Rejected, Series
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.reading import Reading, exact

__all__ = ["Consumption", "Exchange", "accumulate", "consume"]


@dataclass(frozen=True, slots=True)
class Consumption:
    """What was consumed in a period, in the point's unit times the multiplier, and how that is known.

    ``rejected`` are the readings inside the period that were left out.
    """

    quantity: Decimal
    start: Boundary
    end: Boundary
    estimated: bool
    rollovers: int
    exchanges: int
    rejected: tuple[Rejected, ...]


def consume(series: Series, period: Period) -> Consumption:
    """Give the consumption of ``period``; raises DoubtError when an end of it has no reading around it."""
    start, end = series.boundary(period.start), series.boundary(period.end, closing=True)
    return Consumption(
        quantity=end.total - start.total,
        start=start,
        end=end,
        estimated=start.estimated or end.estimated,
        rollovers=_inside(series.rollovers, period),
        exchanges=_inside(series.exchanges, period),
        rejected=tuple(r for r in series.rejected if period.start <= r.at <= period.end),
    )


def accumulate(
    readings: Iterable[Reading],
    counter: Counter,
    exchanges: Iterable[Exchange] = (),
    *,
    plausible_share: Decimal = PLAUSIBLE_SHARE,
    longest_gap: timedelta | None = None,
    settled_within: timedelta = timedelta(0),
) -> Series:
    """Build the series of one point from its readings, in any order; unusable ones are left out.

    ``counter`` is the meter before the first exchange; a reading at the moment of an exchange is of the new one.
    Raises DoubtError when there is no usable reading, or for a fall that is no plausible rollover.
    """
    held = _usable(readings)
    course = Course(held[0].point, plausible_share)
    for exchange in sorted(exchanges, key=lambda e: e.at):
        _agree(exchange, held)
        course.follow([r for r in held if r.at < exchange.at], counter, exchange.final)
        held = [r for r in held if r.at >= exchange.at]
        course.exchange(exchange, counter)
        counter = exchange.counter
    course.follow(held, counter)
    return replace(course.series(), longest_gap=longest_gap, settled_within=settled_within)


def _usable(readings: Iterable[Reading]) -> list[Reading]:
    every = list(readings)
    held = {(r.at, r.value): r for r in every if r.quality.usable and r.value is not None}
    ordered = sorted(held.values(), key=lambda r: r.at)
    if not ordered:
        whose = every[0].point if every else "the meter"
        raise DoubtError(
            f"{whose} has no usable reading; look at its gateway, or enter a manual reading.",
            f"{whose} 没有可用读数；请检查网关，或录入人工抄表。",
        )
    for one, other in pairwise(ordered):
        if one.at == other.at:
            raise DoubtError(
                f"{one.point} has two values at {one.at}, {one.value} and {other.value}; mark one as bad.",
                f"{one.point} 在 {one.at} 有两个值 {one.value} 和 {other.value}；请将其中一个标记为坏值。",
            )
        if one.point != other.point:
            raise ValueError(f"one series holds one point, not {one.point} and {other.point}")
    return ordered


def _agree(exchange: Exchange, held: Sequence[Reading]) -> None:
    """At the moment of an exchange the new face shows its first value: a band or a month may be cut just there."""
    for reading in held:
        assert reading.value is not None
        if reading.at == exchange.at and exact(reading.value, exchange.counter.resolution) != exchange.initial:
            said = f"{exchange.at:%Y-%m-%d %H:%M} UTC"
            raise DoubtError(
                f"{reading.point} shows {reading.value} at {said}, when the new meter began with {exchange.initial}; "
                "correct the exchange, or mark the reading as bad.",
                f"{reading.point} 在 {said} 读数为 {reading.value}，而新表初始读数为 {exchange.initial}；"
                "请更正换表记录，或将该读数标记为坏值。",
            )


def _inside(moments: Sequence[datetime], period: Period) -> int:
    return sum(period.start < at <= period.end for at in moments)
