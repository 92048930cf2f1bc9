"""The course of one counter: what its face showed, what had been consumed, and its value at any moment."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from rules.model.doubt import DoubtError

_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Counter:
    """How the face of one meter is read: smallest step, where it rolls over, CT/PT ratio.

    ``hourly_max`` is the most that it can count in an hour, multiplied (its rated power in kW for a counter of kWh;
    None: not known).
    """

    resolution: Decimal
    modulus: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    hourly_max: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A meter was exchanged or reset: the old face's last value, the new face's first, the new counter."""

    at: datetime
    final: Decimal
    initial: Decimal
    counter: Counter


@dataclass(frozen=True, slots=True)
class Mark:
    """What the face showed at one moment, and ``total`` consumed since the first mark (multiplied)."""

    at: datetime
    face: Decimal
    total: Decimal
    counter: Counter


@dataclass(frozen=True, slots=True)
class Rejected:
    """A reading that was left out, and why."""

    at: datetime
    value: float
    reason: str


class Method(StrEnum):
    """How the counter at a moment is known."""

    READ = "read"  # a reading of that very moment
    BETWEEN = "between"  # two readings around it that leave no doubt: the same face, or moments apart
    LINEAR = "linear"  # an estimate: in proportion to time between the two readings around it


@dataclass(frozen=True, slots=True)
class Boundary:
    """The counter at one moment; ``basis`` holds the mark that shows it, or the two around it."""

    at: datetime
    value: Decimal
    total: Decimal
    estimated: bool
    basis: tuple[Mark, ...]

    @property
    def method(self) -> Method:
        """How it is known."""
        if len(self.basis) == 1:
            return Method.READ
        return Method.LINEAR if self.estimated else Method.BETWEEN


@dataclass(frozen=True, slots=True)
class Series:
    """The marks of one point in time order, ready to be asked for any moment between first and last.

    ``longest_gap`` bounds how far two readings may lie apart to estimate between them (None: any); a moment between
    two that lie no further apart than ``settled_within`` counts as read, not as estimated.
    """

    point: str
    marks: tuple[Mark, ...]
    rollovers: tuple[datetime, ...] = ()
    exchanges: tuple[datetime, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    longest_gap: timedelta | None = None
    settled_within: timedelta = timedelta(0)
    _times: tuple[datetime, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_times", tuple(mark.at for mark in self.marks))

    def boundary(self, at: datetime, *, closing: bool = False) -> Boundary:
        """Give the counter at ``at``: the new face at the moment of an exchange, the old one if ``closing``.

        Raises DoubtError when no usable reading stands on one of its sides.
        """
        first, past = bisect_left(self._times, at), bisect_right(self._times, at)
        if first < past:
            mark = self.marks[first if closing else past - 1]
            return Boundary(at, mark.face, mark.total, estimated=False, basis=(mark,))
        if not 0 < first < len(self.marks):
            side = "before" if first == 0 else "after"
            raise DoubtError(
                f"{self.point} has no usable reading at or {side} {_said(at)}; "
                "wait until the gateway has delivered it, or enter a manual reading.",
                f"{self.point} 在 {_said(at)} {'及之前' if first == 0 else '及之后'}没有可用读数；"
                "请等待网关补传，或录入人工抄表。",
            )
        return self._between(self.marks[first - 1], self.marks[first], at)

    def around(self, start: datetime, end: datetime) -> tuple[Mark | None, Mark | None]:
        """Give the last mark at or before ``start`` and the first at or after ``end``."""
        before, after = bisect_right(self._times, start), bisect_left(self._times, end)
        return self.marks[before - 1] if before else None, self.marks[after] if after < len(self.marks) else None

    def _between(self, left: Mark, right: Mark, at: datetime) -> Boundary:
        gap = right.at - left.at
        if self.longest_gap is not None and gap > self.longest_gap:
            raise DoubtError(
                f"{self.point} has no usable reading from {_said(left.at)} to {_said(right.at)}, "
                "too long to estimate between; enter a manual reading.",
                f"{self.point} 从 {_said(left.at)} 到 {_said(right.at)} 没有可用读数，"
                "间隔过长，不能估算；请录入人工抄表。",
            )
        counter = left.counter
        grown = (right.total - left.total) / counter.multiplier
        steps = grown * ((at - left.at) // _TICK) / (gap // _TICK) / counter.resolution
        moved = steps.quantize(Decimal(1), ROUND_HALF_UP) * counter.resolution
        face = left.face + moved
        if counter.modulus is not None:
            face %= counter.modulus
        total = left.total + moved * counter.multiplier
        return Boundary(at, face, total, estimated=grown != 0 and gap > self.settled_within, basis=(left, right))


def _said(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
