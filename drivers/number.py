"""From a device's number to a point's value: decimal arithmetic, so that a face's digits stay true."""

import math
from dataclasses import dataclass
from decimal import Context, Decimal

_ARITHMETIC = Context(prec=60)  # wide enough for 64 bits times any scale: the product is never rounded


@dataclass(frozen=True, slots=True)
class Decoded:
    """A value in the point's unit, or None and the reason why there is none."""

    value: float | None
    error: str = ""


def scaled(number: float | Decimal, *factors: Decimal) -> Decoded:
    """Give the nearest double of ``number`` times all factors: a face that shows 123.45 gives exactly that double.

    Integers above 2**53 lose their last digits, as every double does.
    """
    if isinstance(number, float) and not math.isfinite(number):
        return Decoded(None, f"the device sent {number}, which is no number")
    product = Decimal(number)
    for factor in factors:
        product = _ARITHMETIC.multiply(product, factor)
    value = float(product)
    return Decoded(value) if math.isfinite(value) else Decoded(None, "the scaled value is beyond a double")


def unscaled(value: float, *factors: Decimal) -> Decimal:
    """Give the device's number for a value in the point's unit: the other way round, for writing."""
    number = Decimal(repr(value))
    for factor in factors:
        number = _ARITHMETIC.divide(number, factor)
    return number
