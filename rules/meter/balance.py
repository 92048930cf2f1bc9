"""Main meter against its sub-meters: what is lost on the way, and whether that can be.

| main | subs | loss | judged as, at a limit of 10 % |
|---|---|---|---|
| 100,000 | 95,000 | 5,000 (5 %) | balanced |
| 100,000 | 85,000 | 15,000 (15 %) | loss above the limit: a meter missing, a leak, theft |
| 100,000 | 101,000 | −1,000 (−1 %) | negative: a current transformer's ratio, crossed meters |
| 100,000 | one not known | not known | incomplete |

The loss in money follows 福建省市场监管局 "十要十不得" (2024-06-19), items 1, 2, 6 and 7: never more than was paid,
loss as kWh, at most a share of the bill passed on.  Limits are provincial, so they are arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from rules.model.money import Rounding, split

LOSS_LIMIT_PERCENT = Decimal(10)  # where a site says nothing else
_HUNDRED = Decimal(100)
_PERCENT_STEP = Decimal("0.01")


class Finding(StrEnum):
    """What the comparison says."""

    BALANCED = "balanced"
    LOSS_ABOVE_LIMIT = "loss_above_limit"
    NEGATIVE_LOSS = "negative_loss"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Balance:
    """Main, sum of the subs and their difference; None where something is ``missing`` (by code)."""

    finding: Finding
    main: Decimal | None
    subs: Decimal | None
    loss: Decimal | None
    loss_percent: Decimal | None  # of the main, to two places; None as well for a main that counted nothing
    missing: tuple[str, ...] = ()


def balance(
    main: tuple[str, Decimal | None],
    subs: Mapping[str, Decimal | None],
    limit_percent: Decimal = LOSS_LIMIT_PERCENT,
    tolerance: Decimal = Decimal(0),
) -> Balance:
    """Compare a main meter (code, consumption) with its subs; up to ``tolerance`` below zero counts as no loss."""
    code, total = main
    missing = tuple(name for name, used in ((code, total), *subs.items()) if used is None)
    known = [used for used in subs.values() if used is not None]
    below = sum(known, Decimal(0)) if subs and len(known) == len(subs) else None
    if total is None or below is None:
        return Balance(Finding.INCOMPLETE, total, below, None, None, missing)
    loss = total - below
    percent = (loss * _HUNDRED / total).quantize(_PERCENT_STEP) if total else None
    if loss < -tolerance:
        finding = Finding.NEGATIVE_LOSS
    elif loss * _HUNDRED > limit_percent * total and loss > tolerance:
        finding = Finding.LOSS_ABOVE_LIMIT
    else:
        finding = Finding.BALANCED
    return Balance(finding, total, below, loss, percent)


@dataclass(frozen=True, slots=True)
class LossMoney:
    """What a loss costs: in all, what of it may be passed on, what stays with the landlord."""

    loss: Decimal
    recoverable: Decimal
    landlord: Decimal


def share_bill(bill: Decimal, subs: Sequence[Decimal], rounding: Rounding) -> list[Decimal]:
    """Share what was paid in proportion to the subs' kWh: the loss, or a negative one, falls on each by his use."""
    return split(bill, subs, rounding)


def loss_money(bill: Decimal, main: Decimal, subs: Decimal, cap_percent: Decimal, rounding: Rounding) -> LossMoney:
    """Price the loss at the bill's average price; at most ``cap_percent`` of the bill may be passed on."""
    loss = rounding.apply(bill * max(main - subs, Decimal(0)) / main)
    recoverable = min(loss, rounding.apply(bill * cap_percent / _HUNDRED))
    return LossMoney(loss, recoverable, loss - recoverable)


def share_by_two_keys(
    cost: Decimal, basic_percent: Decimal, areas: Sequence[Decimal], uses: Sequence[Decimal], rounding: Rounding
) -> list[Decimal]:
    """Share a cost by area for ``basic_percent`` of it and by use for the rest (Heizkostenverordnung, section 7)."""
    basic = basic_percent / _HUNDRED
    area, use = sum(areas, Decimal(0)), sum(uses, Decimal(0))
    if not area or not use:
        raise ValueError("sharing by area and use needs some of both")
    pairs = zip(areas, uses, strict=True)
    return split(cost, [basic * m2 / area + (1 - basic) * used / use for m2, used in pairs], rounding)
