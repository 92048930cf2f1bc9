"""An invoice: lines with their tax, totals that are sums of what is printed, a number, a due date."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Taxed:
    """The money of one line: net and tax rounded, ``percent`` the rate."""

    net: Decimal
    tax: Decimal
    tax_code: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """What the lines of one tax and rate sum to."""

    tax_code: str
    percent: Decimal
    net: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of the rounded lines (EN 16931, BR-CO-10): a reader who adds up the page gets the same."""

    net: Decimal
    tax: Decimal
    gross: Decimal
    by_tax: tuple[TaxTotal, ...]


def total(lines: Sequence[Taxed]) -> Totals:
    """Sum the lines, in all and per tax and rate in the order of their code."""
    kinds = sorted({(line.tax_code, line.percent) for line in lines})
    by_tax = tuple(
        TaxTotal(code, percent, *_sums(line for line in lines if (line.tax_code, line.percent) == (code, percent)))
        for code, percent in kinds
    )
    net, tax = _sums(lines)
    return Totals(net, tax, net + tax, by_tax)


def _sums(lines: Iterable[Taxed]) -> tuple[Decimal, Decimal]:
    held = list(lines)
    return sum((line.net for line in held), Decimal(0)), sum((line.tax for line in held), Decimal(0))


def number(prefix: str, year: int, ordinal: int) -> str:
    """Give the printed invoice number: prefix, year, ordinal without gaps within the year."""
    return f"{prefix}-{year}-{ordinal:06d}"


def due_on(issued_on: date, due_days: int) -> date:
    """Give the last day on which payment is in time."""
    return issued_on + timedelta(days=due_days)
