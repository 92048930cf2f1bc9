"""Money: Decimal with a currency, rounded as the contract says, split without losing a cent."""

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Rounding:
    """How an amount is rounded: contract data, never a constant in code."""

    places: int = 2
    mode: str = decimal.ROUND_HALF_UP

    @property
    def step(self) -> Decimal:
        """The smallest amount that remains after rounding."""
        return Decimal(1).scaleb(-self.places)

    def apply(self, amount: Decimal) -> Decimal:
        """Round ``amount``."""
        return amount.quantize(self.step, self.mode)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency (ISO 4217 code)."""

    amount: Decimal
    currency: str

    def __add__(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.amount + other.amount, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)


def split(total: Decimal, weights: Sequence[Decimal], rounding: Rounding) -> list[Decimal]:
    """Split ``total`` in proportion to ``weights``; the parts sum to ``total`` exactly.

    Largest remainder (Hamilton): every part is rounded down, the odd steps go to the largest
    remainders, first come first served on ties.  ``total`` must itself be a multiple of the step.
    """
    if not weights or any(w < 0 for w in weights) or not sum(weights):
        raise ValueError("a split needs at least one positive weight and none below zero")
    if rounding.apply(total) != total:
        raise ValueError(f"cannot split {total}: it is finer than the rounding step {rounding.step}")
    whole = sum(weights, Decimal(0))
    sign = -1 if total < 0 else 1
    exact = [abs(total) * w / whole for w in weights]
    parts = [e.quantize(rounding.step, decimal.ROUND_DOWN) for e in exact]
    odd = int((abs(total) - sum(parts)) / rounding.step)
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[:odd]:
        parts[i] += rounding.step
    return [sign * part for part in parts]
