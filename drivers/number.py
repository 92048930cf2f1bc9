"""From a device's number to a point's value: decimal arithmetic, so that a face's digits stay true."""

import math
import struct
from dataclasses import dataclass
from decimal import Context, Decimal

_ARITHMETIC = Context(prec=60)  # wide enough for 64 bits times any scale: the product is never rounded

_SINGLE = struct.Struct("f")
_EXACT = 2**53  # below it every integer is a double
_PLACES_MAX = 22  # up to 10**22 powers of ten are doubles


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


class Scale:
    """A product of factors, made once: gives what ``scaled`` gives, fast where a double's arithmetic is exact.

    With the product as c × 10^-n and a number whose product with c is below 2^53, one division rounds once, to the
    nearest double (IEEE 754-2019, 5.4.1), as the decimal way does.
    """

    def __init__(self, *factors: Decimal) -> None:
        """Multiply the factors."""
        self._product = Decimal(1)
        for factor in factors:
            self._product = _ARITHMETIC.multiply(self._product, factor)
        sign, digits, exponent = self._product.normalize(_ARITHMETIC).as_tuple()
        assert isinstance(exponent, int)
        times = int("".join(map(str, digits))) * (-1 if sign else 1) * 10 ** max(0, exponent)
        places = max(0, -exponent)
        self._exact = places <= _PLACES_MAX and abs(times) < _EXACT
        self._times, self._per = times, float(10**places) if places <= _PLACES_MAX else 1.0

    def exactly(self, *, whole: bool) -> tuple[int, float, float] | None:
        """Give (times, per, bound): number × times / per is what ``value`` gives for every number below the bound.

        ``whole`` says that all numbers are integers; None where no number can be scaled so.
        """
        if not self._exact or not (whole or self._times == 1):
            return None
        return self._times, self._per, _EXACT / abs(self._times)

    def value(self, number: float) -> tuple[float | None, str]:
        """Give the nearest double of ``number`` times the product, or None and the reason why there is none."""
        if self._exact:
            if self._times == 1 and -_EXACT < number < _EXACT:
                return number / self._per, ""
            if isinstance(number, int) and -_EXACT < (product := number * self._times) < _EXACT:
                return product / self._per, ""
        decoded = scaled(number, self._product)
        return decoded.value, decoded.error


def shortest(single: float) -> float:
    """Give the decimal of the fewest digits that is this IEEE 754 single: 12.3, not 12.300000190734863."""
    for digits in range(6, 9):
        short = float(f"{single:.{digits}g}")
        if _SINGLE.unpack(_SINGLE.pack(short))[0] == single:
            return short
    return single


def unscaled(value: float, *factors: Decimal) -> Decimal:
    """Give the device's number for a value in the point's unit: the other way round, for writing."""
    number = Decimal(repr(value))
    for factor in factors:
        number = _ARITHMETIC.divide(number, factor)
    return number
