"""The walk of a counter from reading to reading: what each step means, what is left out, what is in doubt.

`rules.meter.consumption` says by examples how a step is judged.  A zero, and a step that is faster than the meter is
rated for, are kept aside until the next reading says whether they came and went.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rules.meter.series import Counter, Exchange, Mark, Rejected, Series
from rules.model.doubt import DoubtError
from rules.model.reading import Reading, exact

# A step, up or over the top, counts only below this share of the modulus: a lone wrong value never makes a whole turn.
PLAUSIBLE_SHARE = Decimal("0.5")
_HOUR_S = 3600


@dataclass(slots=True)
class Course:
    """The walk along the face, one step at a time."""

    point: str
    plausible_share: Decimal = PLAUSIBLE_SHARE
    marks: list[Mark] = field(default_factory=list)
    rollovers: list[datetime] = field(default_factory=list)
    exchanges: list[datetime] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def series(self) -> Series:
        """Give what was walked."""
        moments = tuple(self.rollovers), tuple(self.exchanges)
        return Series(self.point, tuple(self.marks), *moments, tuple(self.rejected))

    def follow(self, readings: Sequence[Reading], counter: Counter, final: Decimal | None = None) -> None:
        """Walk readings in time order; ``final`` is what the face showed when it was taken off after them."""
        aside: list[tuple[Reading, Decimal]] = []
        for reading, face in self._on_the_face(readings, counter):
            if self._may_pass(reading.at, face, counter):
                aside.append((reading, face))
                continue
            self._settle(aside, face, counter)
            self._step(reading.at, face, counter)
        self._settle(aside, final, counter)

    def exchange(self, exchange: Exchange, old: Counter) -> None:
        """Go over to another face."""
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

    def _may_pass(self, at: datetime, face: Decimal, counter: Counter) -> bool:
        """Whether this may be something that comes and goes: the next reading tells."""
        if not self.marks:
            return False
        before = self.marks[-1]
        return (face == 0 and before.face != 0) or (face > before.face and _too_fast(before, at, face, counter))

    def _settle(self, aside: list[tuple[Reading, Decimal]], then: Decimal | None, counter: Counter) -> None:
        """Judge what was kept aside by what the face showed next (None: nothing has come yet)."""
        first = self.marks[-1] if self.marks else None
        for reading, face in aside:
            assert first is not None
            if face == 0:
                if then is not None and then >= first.face:
                    self._reject(reading, f"is zero between {first.face} and {then}: a dropout, not a reset")
                else:
                    self._step(reading.at, face.quantize(counter.resolution), counter)
            elif then is not None and then < face:
                self._reject(
                    reading, f"is above {first.face} by more than the meter is rated for, and {then} came next"
                )
            elif then is None and len(aside) == 1:
                said = f"is above {first.face} by more than the meter is rated for, and nothing after it says otherwise"
                self._reject(reading, said)
            else:
                self._step(reading.at, face, counter)
        aside.clear()

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
        if (
            modulus is None
            or modulus - before.face + face >= self.plausible_share * modulus
            or _too_fast(before, at, face, counter)
        ):
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
        span = f"{before.at:%Y-%m-%d %H:%M}", f"{at:%Y-%m-%d %H:%M} UTC"
        if counter.modulus is not None and face - before.face >= self.plausible_share * counter.modulus:
            raise DoubtError(
                f"{self.point} jumped from {before.face} to {face} between {span[0]} and {span[1]}; "
                "mark the wrong reading as bad, or record a meter exchange.",
                f"{self.point} 在 {span[0]} 至 {span[1]} 之间从 {before.face} 跳到 {face}；"
                "请将错误读数标记为坏值，或登记换表。",
            )
        if _too_fast(before, at, face, counter):
            raise DoubtError(
                f"{self.point} went from {before.face} to {face} between {span[0]} and {span[1]}, faster than the "
                f"{counter.hourly_max} an hour that the meter is rated for; mark the wrong reading as bad, record a "
                "meter exchange, or correct the rating.",
                f"{self.point} 在 {span[0]} 至 {span[1]} 之间从 {before.face} 升到 {face}，"
                f"超过该表每小时 {counter.hourly_max} 的额定上限；请将错误读数标记为坏值，登记换表，或更正额定值。",
            )

    def _reject(self, reading: Reading, reason: str) -> None:
        assert reading.value is not None
        self.rejected.append(Rejected(reading.at, reading.value, reason))


def _too_fast(before: Mark, at: datetime, face: Decimal, counter: Counter) -> bool:
    """Whether a step is more than the rating allows in its time; one step of the face is always allowed."""
    if counter.hourly_max is None:
        return False
    step = face - before.face
    if step < 0:
        step += counter.modulus or 0
    elapsed_s = Decimal(str((at - before.at).total_seconds()))
    return (
        step * counter.multiplier > counter.hourly_max * elapsed_s / _HOUR_S + counter.resolution * counter.multiplier
    )
