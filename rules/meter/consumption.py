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

A boundary without a reading of its own is interpolated in time between its neighbours and rounded to the face's
resolution; it is *estimated* unless both neighbours show the same face (a counter that did not move leaves no doubt)
or lie so close that the caller takes the moment as read (``settled_within``: a counter that is polled every second).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from rules.meter.series import Boundary, Counter, Mark, Rejected, Series
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.reading import Reading, exact

# A step, up or over the top, counts only below this share of the modulus: a lone wrong value never makes a whole turn.
PLAUSIBLE_SHARE = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A meter was exchanged or reset: the old face's last value, the new face's first, the new counter."""

    at: datetime
    final: Decimal
    initial: Decimal
    counter: Counter


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
    course = _Course(held[0].point, plausible_share)
    for exchange in sorted(exchanges, key=lambda e: e.at):
        _agree(exchange, held)
        course.follow([r for r in held if r.at < exchange.at], counter)
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


@dataclass(slots=True)
class _Course:
    """The walk along the face, one step at a time."""

    point: str
    plausible_share: Decimal
    marks: list[Mark] = field(default_factory=list)
    rollovers: list[datetime] = field(default_factory=list)
    exchanges: list[datetime] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def series(self) -> Series:
        moments = tuple(self.rollovers), tuple(self.exchanges)
        return Series(self.point, tuple(self.marks), *moments, tuple(self.rejected))

    def follow(self, readings: Sequence[Reading], counter: Counter) -> None:
        zeros: list[Reading] = []
        for reading, face in self._on_the_face(readings, counter):
            if face == 0 and self.marks and self.marks[-1].face != 0:
                zeros.append(reading)
                continue
            self._settle(zeros, face, counter)
            self._step(reading.at, face, counter)
        self._settle(zeros, None, counter)

    def exchange(self, exchange: Exchange, old: Counter) -> None:
        if self.marks:
            self._step(exchange.at, exchange.final, old)
        total = self.marks[-1].total if self.marks else Decimal(0)
        self.marks.append(Mark(exchange.at, exchange.initial, total, exchange.counter))
        self.exchanges.append(exchange.at)

    def _on_the_face(self, readings: Sequence[Reading], counter: Counter) -> Iterable[tuple[Reading, Decimal]]:
        for reading in readings:
            assert reading.value is not None
            top = math.inf if counter.modulus is None else counter.modulus
            if 0 <= reading.value < top:
                yield reading, exact(reading.value, counter.resolution)
            else:
                self._reject(reading, f"is not on the face, which counts from 0 to below {top}")

    def _settle(self, zeros: list[Reading], then: Decimal | None, counter: Counter) -> None:
        """Judge zeros that followed a higher face: they came and went, or the counter starts from them."""
        came_and_went = zeros and then is not None and then >= self.marks[-1].face
        for zero in zeros:
            if came_and_went:
                self._reject(zero, f"is zero between {self.marks[-1].face} and {then}: a dropout, not a reset")
            else:
                self._step(zero.at, Decimal(0).quantize(counter.resolution), counter)
        zeros.clear()

    def _step(self, at: datetime, face: Decimal, counter: Counter) -> None:
        if not self.marks:
            self.marks.append(Mark(at, face, Decimal(0), counter))
            return
        before = self.marks[-1]
        step = face - before.face
        if step < 0:
            step = self._over_the_top(before, at, face, counter)
        else:
            self._check_rise(before, at, face, counter)
        self.marks.append(Mark(at, face, before.total + step * counter.multiplier, counter))

    def _over_the_top(self, before: Mark, at: datetime, face: Decimal, counter: Counter) -> Decimal:
        modulus = counter.modulus
        if modulus is None or modulus - before.face + face >= self.plausible_share * modulus:
            span = f"{before.at:%Y-%m-%d %H:%M}", f"{at:%Y-%m-%d %H:%M} UTC"
            raise DoubtError(
                f"{self.point} fell from {before.face} to {face} between {span[0]} and {span[1]}, "
                "which is no plausible rollover; record a meter exchange or reset.",
                f"{self.point} 在 {span[0]} 至 {span[1]} 之间从 {before.face} 降到 {face}，"
                "不像翻转；请登记换表或复位。",
            )
        self.rollovers.append(at)
        return modulus - before.face + face

    def _check_rise(self, before: Mark, at: datetime, face: Decimal, counter: Counter) -> None:
        if counter.modulus is None or face - before.face < self.plausible_share * counter.modulus:
            return
        span = f"{before.at:%Y-%m-%d %H:%M}", f"{at:%Y-%m-%d %H:%M} UTC"
        raise DoubtError(
            f"{self.point} jumped from {before.face} to {face} between {span[0]} and {span[1]}; "
            "mark the wrong reading as bad, or record a meter exchange.",
            f"{self.point} 在 {span[0]} 至 {span[1]} 之间从 {before.face} 跳到 {face}；"
            "请将错误读数标记为坏值，或登记换表。",
        )

    def _reject(self, reading: Reading, reason: str) -> None:
        assert reading.value is not None
        self.rejected.append(Rejected(reading.at, reading.value, reason))
