"""What is stored of a meter's consumption in one day or month, when it is final, and what a recomputation changed.

A fact is *parked* when it cannot be decided (``quantity`` None, never zero), *provisional* while a later reading may
still change it, *final* when both ends are known without an estimate and the settling time has passed, or when a bill
stands on it.  What changes is told field by field (`changed`), so that nothing is replaced silently.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from rules.meter.consumption import Consumption
from rules.meter.series import Boundary, Method, Rejected
from rules.model.doubt import DoubtError


class State(StrEnum):
    """How firm a fact is."""

    PROVISIONAL = "provisional"
    FINAL = "final"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a face showed at a moment."""

    at: datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class End:
    """The counter at one end: its face, how that is known and from which readings, the ratio of that meter."""

    at: datetime
    value: Decimal
    method: Method
    readings: tuple[Seen, ...]
    multiplier: Decimal


@dataclass(frozen=True, slots=True)
class Input:
    """One term of a virtual meter: what it put in, and how a missing one was dealt with."""

    code: str
    factor: Decimal
    quantity: Decimal | None
    estimated: bool
    how: str  # rules.meter.virtual.How


@dataclass(frozen=True, slots=True)
class Fact:
    """The consumption of one period with its evidence; ``doubt`` says in (English, Chinese) why there is none.

    A meter has ``start`` and ``end``, a virtual one its ``inputs``.
    """

    quantity: Decimal | None
    estimated: bool = False
    start: End | None = None
    end: End | None = None
    rollovers: int = 0
    exchanges: int = 0
    rejected: tuple[Rejected, ...] = ()
    inputs: tuple[Input, ...] = ()
    doubt: tuple[str, str] | None = None

    @property
    def reach(self) -> tuple[datetime, datetime] | None:
        """The span in which another reading would change it; None: any may."""
        if self.start is None or self.end is None:
            return None
        return self.start.readings[0].at, self.end.readings[-1].at


def fact_of(used: Consumption) -> Fact:
    """Keep what a fact needs of a consumption."""
    return Fact(
        used.quantity,
        used.estimated,
        _end(used.start),
        _end(used.end),
        used.rollovers,
        used.exchanges,
        used.rejected,
    )


def parked(doubt: DoubtError) -> Fact:
    """Give the fact of a period that cannot be decided."""
    return Fact(None, doubt=(doubt.en, doubt.zh))


def joined(facts: Sequence[Fact]) -> Fact | None:
    """Join the facts of adjoining periods of one meter; None when one is not known or they do not meet."""
    if not facts or any(fact.quantity is None for fact in facts):
        return None
    if any(fact.start is None or fact.end is None for fact in facts):
        return None
    if not all(one.end and other.start and one.end.at == other.start.at for one, other in pairwise(facts)):
        return None
    first, last = facts[0].start, facts[-1].end
    assert first is not None
    assert last is not None
    return Fact(
        sum((fact.quantity or Decimal(0) for fact in facts), Decimal(0)),
        Method.LINEAR in (first.method, last.method),
        first,
        last,
        sum(fact.rollovers for fact in facts),
        sum(fact.exchanges for fact in facts),
        tuple(dict.fromkeys(one for fact in facts for one in fact.rejected)),
    )


def state_of(fact: Fact, end: datetime, now: datetime, settling: timedelta, *, billed: bool = False) -> State:
    """Say how firm a fact of a period that ended at ``end`` is; ``settling`` is how long readings may come late."""
    if fact.quantity is None:
        return State.PARKED
    settled = not fact.estimated and now >= end + settling
    return State.FINAL if billed or settled else State.PROVISIONAL


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a recomputation changed, in words that can be stored; empty: there was none."""

    what: str
    before: str
    after: str


def changed(before: Fact, after: Fact) -> tuple[Difference, ...]:
    """Tell what differs, the quantity first; nothing when the facts are the same."""
    said = zip(_told(before), _told(after), strict=True)
    return tuple(Difference(what, old, new) for (what, old), (_, new) in said if old != new)


def _told(fact: Fact) -> Iterable[tuple[str, str]]:
    yield "quantity", _number(fact.quantity)
    yield "estimated", "yes" if fact.estimated else "no"
    for name, end in (("start", fact.start), ("end", fact.end)):
        yield name, "" if end is None else _number(end.value)
        yield f"{name} readings", "" if end is None else "; ".join(_reading(seen) for seen in end.readings)
        yield f"{name} multiplier", "" if end is None else _number(end.multiplier)
    yield "rollovers", str(fact.rollovers)
    yield "exchanges", str(fact.exchanges)
    yield "left out", "; ".join(f"{one.at:%Y-%m-%dT%H:%M:%SZ} {one.value!r}" for one in fact.rejected)
    yield "inputs", "; ".join(f"{one.code} {_number(one.quantity)} {one.how}" for one in fact.inputs)
    for name, said in zip(("doubt", "doubt_zh"), fact.doubt or ("", ""), strict=True):
        yield name, said


def _reading(seen: Seen) -> str:
    return f"{seen.at:%Y-%m-%dT%H:%M:%SZ} {_number(seen.value)}"


def _number(value: Decimal | None) -> str:
    """Give a number in one form whatever column it came from: 40 is no change from 40.0000."""
    return "" if value is None else f"{value.normalize():f}"


def _end(boundary: Boundary) -> End:
    seen = tuple(Seen(mark.at, mark.face) for mark in boundary.basis)
    return End(boundary.at, boundary.value, boundary.method, seen, boundary.basis[0].counter.multiplier)
