"""Value added tax: dated rates, tax per line, tax inside a gross amount, tax per document.

| rule | example | result |
|---|---|---|
| per line | 1,000.05 at 9 % | 90.00 |
| inside a gross amount | 10,000.00 at 9 % | net 9,174.31, tax 825.69 |
| per document | 0.07, 0.07, 0.16, 0.16 at 22 % | 0.10 in all, given 0.02, 0.02, 0.03, 0.03 |
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, model_validator

from rules.model.definition import Definition, check
from rules.model.doubt import DoubtError
from rules.model.money import Rounding

_HUNDRED = Decimal(100)


class Rate(Definition):
    """A rate in per cent, in force from ``valid_from`` to ``valid_to`` (its last day; None: until further notice)."""

    valid_from: date
    valid_to: date | None = None
    percent: Annotated[Decimal, Field(ge=0, le=100)]


class Tax(Definition):
    """One kind of tax with its dated rates, which do not overlap."""

    name_zh: str
    name_en: str
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        for one, other in pairwise(sorted(self.rates, key=lambda r: r.valid_from)):
            if one.valid_to is None or other.valid_from <= one.valid_to:
                raise ValueError(f"two rates hold on {other.valid_from}; end the earlier one the day before")
        return self

    def rate(self, day: date) -> Decimal:
        """Give the rate in per cent on ``day``; raises DoubtError when there is none."""
        for rate in self.rates:
            if rate.valid_from <= day and (rate.valid_to is None or day <= rate.valid_to):
                return rate.percent
        raise DoubtError(
            f"the tax '{self.name_en}' has no rate for {day}; add one that covers that day.",
            f"税种“{self.name_zh}”在 {day} 没有有效税率；请补充覆盖该日的税率。",
        )


def parse_taxes(data: Mapping[str, Any]) -> Mapping[str, Tax]:
    """Give the taxes of decoded YAML by code; raises InvalidDefinitionError with a sentence for every problem."""
    return check(TypeAdapter(dict[str, Tax]), data, "taxes")


def tax_on(net: Decimal, percent: Decimal, rounding: Rounding) -> Decimal:
    """Give the tax on a net amount."""
    return rounding.apply(net * percent / _HUNDRED)


def separate(gross: Decimal, percent: Decimal, rounding: Rounding) -> tuple[Decimal, Decimal]:
    """Separate a gross amount into net and tax, which sum to it exactly (价税分离)."""
    net = rounding.apply(gross / (1 + percent / _HUNDRED))
    return net, gross - net


def tax_by_document(nets: Sequence[Decimal], percent: Decimal, rounding: Rounding) -> list[Decimal]:
    """Give the tax of each line such that the lines sum to the tax on their sum; odd steps fall on the largest."""
    taxes = [tax_on(net, percent, rounding) for net in nets]
    off = sum(taxes, Decimal(0)) - tax_on(sum(nets, Decimal(0)), percent, rounding)
    largest = sorted(range(len(nets)), key=lambda i: (-abs(nets[i]), i))
    for turn in range(int(abs(off) / rounding.step)):
        taxes[largest[turn % len(largest)]] -= rounding.step if off > 0 else -rounding.step
    return taxes
