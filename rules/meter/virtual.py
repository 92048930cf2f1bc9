"""The consumption of a virtual meter: sums, differences and shares of others, with what was missing named.

| main − A − B | A missing, rule | gives |
|---|---|---|
| 10,000 − ? − 2,500 | park | nothing, missing A |
| 10,000 − ? − 2,500 | estimate, A used 4,000 on average | 3,500, estimated |
| 10,000 − ? − 2,500 | leave out | 7,500, estimated, A left out |
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

from rules.meter.fact import Fact, Input
from rules.model.virtual import Missing, Term


class How(StrEnum):
    """How a term went in."""

    KNOWN = "known"
    ESTIMATED = "estimate"
    LEFT_OUT = "left out"
    MISSING = "missing"


def combine(
    terms: Sequence[Term], known: Mapping[str, Fact | None], usual: Mapping[str, Decimal] | None = None
) -> Fact:
    """Give the sum of the terms times their factors for one period.

    ``known`` holds the fact of each term's meter (None or parked: missing), ``usual`` what a meter used on average in
    periods of the same length before, for terms that may be estimated.  A sum of nothing but what was left out is
    missing too.
    """
    inputs = tuple(_input(term, known.get(term.meter), (usual or {}).get(term.meter)) for term in terms)
    missing = [one.code for one in inputs if one.how is How.MISSING]
    if not missing and all(one.how is How.LEFT_OUT for one in inputs):
        missing = [one.code for one in inputs]
    if missing:
        names = ", ".join(missing)
        return Fact(None, inputs=inputs, doubt=(f"no consumption of {names} is known.", f"缺少 {names} 的用量。"))
    total = sum((one.factor * one.quantity for one in inputs if one.quantity is not None), Decimal(0))
    return Fact(total, any(one.estimated or one.how is not How.KNOWN for one in inputs), inputs=inputs)


def missing_of(fact: Fact) -> tuple[str, ...]:
    """Name the inputs for want of which there is no quantity."""
    return tuple(one.code for one in fact.inputs if one.quantity is None and one.how is not How.LEFT_OUT)


def summed(facts: Sequence[Fact]) -> Fact | None:
    """Join a virtual meter's facts of adjoining periods; None when one is not known."""
    if not facts or any(fact.quantity is None for fact in facts):
        return None
    held: dict[tuple[str, Decimal, str], list[Input]] = {}
    for one in (one for fact in facts for one in fact.inputs):
        held.setdefault((one.code, one.factor, one.how), []).append(one)
    inputs = tuple(Input(*key[:2], _total(some), any(i.estimated for i in some), key[2]) for key, some in held.items())
    return Fact(_total(facts), any(fact.estimated for fact in facts), inputs=inputs)


def _total(some: Sequence[Fact] | Sequence[Input]) -> Decimal | None:
    known = [one.quantity for one in some if one.quantity is not None]
    return sum(known, Decimal(0)) if known else None


def _input(term: Term, fact: Fact | None, usual: Decimal | None) -> Input:
    if fact is not None and fact.quantity is not None:
        return Input(term.meter, term.factor, fact.quantity, fact.estimated, How.KNOWN)
    if term.missing is Missing.ESTIMATE and usual is not None:
        return Input(term.meter, term.factor, usual, estimated=True, how=How.ESTIMATED)
    how = How.LEFT_OUT if term.missing is Missing.LEAVE_OUT else How.MISSING
    return Input(term.meter, term.factor, None, estimated=False, how=how)
