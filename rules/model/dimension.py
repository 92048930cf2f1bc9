"""Whether the units of an expression go together, and the exact factors that make them do.  Pure.

A constant without a unit goes with any; kW and W go together by a factor; kW and °C do not.  The difference of two
temperatures in °C is in K, and only such a difference may be multiplied.
"""

from collections.abc import Mapping
from dataclasses import replace

from rules.model import quantity
from rules.model.expression import (
    Arithmetic,
    Call,
    Comparison,
    Either,
    Expression,
    InvalidExpressionError,
    Joined,
    Named,
    Negative,
    Not,
    Number,
    Numeric,
    Truth,
)

KELVIN = "K"
Sized = tuple[Numeric, str | None]  # a number and its unit; None: it goes with any


def fit(expression: Expression, units: Mapping[str, str], wanted: str | None = None) -> Expression:
    """Give the expression with its units brought together; a number comes out in ``wanted``.

    ``units`` holds the unit of every point that it names.  Raises InvalidExpressionError with one sentence.
    """
    try:
        root = expression.root
        if isinstance(root, Comparison | Joined | Not):
            return replace(expression, root=_truth(root, units))
        return replace(expression, root=_wanted(_sized(root, units), wanted))
    except quantity.UnknownUnitError as error:
        raise InvalidExpressionError(str(error)) from None


def _wanted(sized: Sized, wanted: str | None) -> Numeric:
    node, unit = sized
    if wanted is None or unit is None or unit == wanted:
        return node
    if quantity.compatible(unit, wanted) and quantity.has_own_zero(unit) == quantity.has_own_zero(wanted):
        return _scaled(node, unit, wanted)
    raise InvalidExpressionError(f"it comes out in {_named(unit)}, which is not {_named(wanted)}")


def _scaled(node: Numeric, unit: str, to: str) -> Numeric:
    factor = quantity.convert(1.0, unit, to) - quantity.convert(0.0, unit, to)
    if quantity.has_own_zero(unit) and quantity.convert(0.0, unit, to) != 0.0:
        raise InvalidExpressionError(f"{_named(unit)} and {_named(to)} count from different zeros; write both in one")
    rounded = float(f"{factor:.12g}")  # what pint's chain of floats leaves is no information
    return node if rounded == 1.0 else Arithmetic("*", node, Number(rounded))


def _sized(node: Numeric, units: Mapping[str, str]) -> Sized:
    match node:
        case Number(unit=unit):
            if unit is not None:
                quantity.compatible(unit, "")  # it has to exist
            return node, unit
        case Named(point=point):
            return node, units[point]
        case Negative(of=of):
            inner, unit = _sized(of, units)
            return Negative(inner), unit
        case Either(when=when, then=then, otherwise=otherwise):
            (one, other), unit = _alike([_sized(then, units), _sized(otherwise, units)], "chosen between")
            return Either(_truth(when, units), one, other), unit
        case Call(name=name, parts=parts):
            numbers, unit = _alike([_sized(part, units) for part in parts], "compared")
            return Call(name, tuple(numbers)), unit
        case Arithmetic(sign=sign, left=left, right=right):
            join = _summed if sign in "+-" else _multiplied
            return join(sign, _sized(left, units), _sized(right, units))


def _truth(node: Truth, units: Mapping[str, str]) -> Truth:
    match node:
        case Not(of=of):
            return Not(_truth(of, units))
        case Joined(word=word, parts=parts):
            return Joined(word, tuple(_truth(part, units) for part in parts))
        case Comparison(first=first, rest=rest):
            numbers, _ = _alike([_sized(first, units), *(_sized(part, units) for _, part in rest)], "compared")
            return Comparison(numbers[0], tuple(zip((sign for sign, _ in rest), numbers[1:], strict=True)))


def _alike(sized: list[Sized], done: str) -> tuple[list[Numeric], str | None]:
    """Bring numbers to the first unit among them."""
    unit = next((unit for _, unit in sized if unit is not None), None)
    if unit is None:
        return [node for node, _ in sized], None
    return [_brought(node, own, unit, done) for node, own in sized], unit


def _brought(node: Numeric, own: str | None, unit: str, done: str) -> Numeric:
    if own is None or own == unit:
        return node
    if not quantity.compatible(own, unit) or quantity.has_own_zero(own) != quantity.has_own_zero(unit):
        raise InvalidExpressionError(f"{_named(unit)} and {_named(own)} cannot be {done}")
    return _scaled(node, own, unit)


def _summed(sign: str, left: Sized, right: Sized) -> Sized:
    (one, unit), (other, own) = left, right
    if unit is None or own is None:
        return Arithmetic(sign, one, other), own if unit is None else unit
    zeros = quantity.has_own_zero(unit), quantity.has_own_zero(own)
    done = "added" if sign == "+" else "subtracted"
    if zeros == (True, False) or (zeros == (False, True) and sign == "+"):  # 20 °C and 5 K more
        level, step = (unit, own) if zeros[0] else (own, unit)
        if level not in {"°C", "℃", "degC"} or not quantity.compatible(step, KELVIN):
            raise InvalidExpressionError(f"{_named(unit)} and {_named(own)} cannot be {done}")
        scaled = [_scaled(n, u, KELVIN) if u == step else n for n, u in ((one, unit), (other, own))]
        return Arithmetic(sign, scaled[0], scaled[1]), level
    joined = Arithmetic(sign, one, _brought(other, own, unit, done))
    return joined, KELVIN if sign == "-" and all(zeros) else unit


def _multiplied(sign: str, left: Sized, right: Sized) -> Sized:
    (one, unit), (other, own) = left, right
    joined = Arithmetic(sign, one, other)
    if own is None:
        return joined, unit
    for name in (unit, own):
        if name is not None and quantity.has_own_zero(name) and (unit is not None or sign == "/"):
            raise InvalidExpressionError(
                f"{_named(name)} cannot be multiplied or divided; take a difference of two temperatures first"
            )
    if sign == "*":
        return joined, own if unit is None else quantity.multiplied(unit, own)
    return joined, quantity.divided(unit or "", own)


def _named(unit: str) -> str:
    return unit or "a number without a unit"
