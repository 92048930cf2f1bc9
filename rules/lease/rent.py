"""Rent of one month: area times price, prorated by the convention that the lease names.

One move-in, four answers (monthly 30,000.00, in on 10 February 2026):

| convention | formula | rent |
|---|---|---|
| actual_actual | 30,000 × 19 / 28 days of February | 20,357.14 |
| thirty_360 | 30,000 × 21 / 30, every month counted as 30 days | 21,000.00 |
| actual_365 | 30,000 × 12 / 365 × 19 | 18,739.73 |
| actual_30 | 30,000 × 19 / 30 | 19,000.00 |

A whole month costs the monthly rent under every convention; only a part is prorated.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from rules.model.money import Rounding

_MONTH_DAYS = 30
_YEAR_DAYS = 365
_YEAR_MONTHS = 12


class Convention(StrEnum):
    """How a part of a billing period is counted: contract data, never a constant."""

    ACTUAL_ACTUAL = "actual_actual"
    THIRTY_360 = "thirty_360"
    ACTUAL_365 = "actual_365"
    ACTUAL_30 = "actual_30"


@dataclass(frozen=True, slots=True)
class Days:
    """Local days from ``first`` (included) to ``past`` (excluded)."""

    first: date
    past: date

    @property
    def count(self) -> int:
        """How many days; none when the span is empty or runs backwards."""
        return max(0, (self.past - self.first).days)

    @property
    def last(self) -> date:
        """The last day that is included."""
        return self.past - timedelta(days=1)

    def overlap(self, other: "Days") -> "Days":
        """Give the days in both."""
        return Days(max(self.first, other.first), min(self.past, other.past))


@dataclass(frozen=True, slots=True)
class Rent:
    """Rent for ``days`` counted out of ``of_days``; ``amount`` is rounded, the rest is its evidence."""

    amount: Decimal
    full: Decimal
    days: int
    of_days: int
    convention: Convention


def monthly_rent(areas_m2: Iterable[Decimal], price_per_m2: Decimal) -> Decimal:
    """Give the unrounded rent of a whole month: the sum of each unit's area times the price."""
    return sum((area * price_per_m2 for area in areas_m2), Decimal(0))


def prorate(
    full: Decimal, whole: Days, occupied: Days, convention: Convention, rounding: Rounding, months: int = 1
) -> Rent:
    """Give the rent of the part of ``whole`` that is ``occupied``.

    ``full`` is the rent of the whole billing period, which is ``months`` calendar months long.
    """
    part = whole.overlap(occupied)
    if part.count in (0, whole.count):
        share = Decimal(part.count) / whole.count
        return Rent(rounding.apply(full * share), full, part.count, whole.count, convention)
    days, of_days, yearly = _count(part, whole, convention, months)
    base = full * _YEAR_MONTHS / months if yearly else full
    return Rent(rounding.apply(base * days / of_days), full, days, of_days, convention)


def _count(part: Days, whole: Days, convention: Convention, months: int) -> tuple[int, int, bool]:
    """Give the days, out of how many, and whether those are days of a year."""
    match convention:
        case Convention.ACTUAL_ACTUAL:
            return part.count, whole.count, False
        case Convention.THIRTY_360:
            return days_30(part.first, part.past), _MONTH_DAYS * months, False
        case Convention.ACTUAL_365:
            return part.count, _YEAR_DAYS, True
        case Convention.ACTUAL_30:
            return part.count, _MONTH_DAYS * months, False


def days_30(first: date, past: date) -> int:
    """Count the days from ``first`` to ``past`` (excluded) as if every month had 30 (30E/360, ISDA 2006, 4.16(g))."""
    months = (past.year - first.year) * _YEAR_MONTHS + past.month - first.month
    return months * _MONTH_DAYS + min(past.day, _MONTH_DAYS) - min(first.day, _MONTH_DAYS)
