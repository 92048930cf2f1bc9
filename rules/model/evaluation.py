"""What an expression says of the readings at hand.  Pure.

Missing is never zero: a point without a usable value, a division by zero and a number too large make what depends on
them missing, with the reason.  What does not depend on them is still said: "wet here or wet there" is true as soon as
one is (Kleene's strong logic of three values, S. C. Kleene, Introduction to Metamathematics, 1952, section 64).
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rules.model.expression import (
    Arithmetic,
    Call,
    Comparison,
    Either,
    Expression,
    Joined,
    Named,
    Negative,
    Not,
    Number,
    Numeric,
    Truth,
)


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no value, and why (a sentence without its full stop)."""

    reason: str


Inputs = Mapping[str, "float | Missing"]

_SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_CALLS: dict[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs}


def evaluate(expression: Expression, inputs: Inputs) -> float | bool | Missing:
    """Give the number, or yes or no, or what is missing; never raises."""
    root = expression.root
    return _truth(root, inputs) if isinstance(root, Comparison | Joined | Not) else _number(root, inputs)


def _number(node: Numeric, inputs: Inputs) -> float | Missing:
    match node:
        case Number(value=value):
            return value
        case Named(point=point):
            return _input(point, inputs)
        case Negative(of=of):
            turned = _number(of, inputs)
            return turned if isinstance(turned, Missing) else -turned
        case Either(when=when, then=then, otherwise=otherwise):
            chosen = _truth(when, inputs)
            return chosen if isinstance(chosen, Missing) else _number(then if chosen else otherwise, inputs)
        case Arithmetic():
            return _arithmetic(node, inputs)
        case Call(name=name, parts=parts):
            numbers = _all(parts, inputs)
            return numbers if isinstance(numbers, Missing) else _CALLS[name](*numbers)


def _input(point: str, inputs: Inputs) -> float | Missing:
    value = inputs.get(point)
    if value is None:
        return Missing(f"'{point}' has not been read")
    if not isinstance(value, Missing) and not math.isfinite(value):
        return Missing(f"'{point}' is no number")
    return value


def _arithmetic(node: Arithmetic, inputs: Inputs) -> float | Missing:
    pair = _all((node.left, node.right), inputs)
    if isinstance(pair, Missing):
        return pair
    left, right = pair
    if node.sign == "/" and right == 0:
        return Missing("it divides by zero")
    result = _SIGNS[node.sign](left, right)
    return result if math.isfinite(result) else Missing("the result is too large")


def _all(parts: tuple[Numeric, ...], inputs: Inputs) -> list[float] | Missing:
    numbers: list[float] = []
    for part in parts:
        number = _number(part, inputs)
        if isinstance(number, Missing):
            return number
        numbers.append(number)
    return numbers


def _truth(node: Truth, inputs: Inputs) -> bool | Missing:
    match node:
        case Not(of=of):
            turned = _truth(of, inputs)
            return turned if isinstance(turned, Missing) else not turned
        case Joined(word=word, parts=parts):
            return _joined(word == "or", parts, inputs)
        case Comparison():
            return _compared(node, inputs)


def _joined(settles: bool, parts: tuple[Truth, ...], inputs: Inputs) -> bool | Missing:
    """Join by "or" (``settles`` True: one yes settles it) or "and" (one no does)."""
    missing: Missing | None = None
    for part in parts:
        said = _truth(part, inputs)
        if isinstance(said, Missing):
            missing = missing or said
        elif said is settles:
            return settles
    return missing if missing is not None else not settles


def _compared(node: Comparison, inputs: Inputs) -> bool | Missing:
    """Compare in a row: each neighbour with the next, all of which must hold."""
    missing: Missing | None = None
    left = _number(node.first, inputs)
    for sign, part in node.rest:
        right = _number(part, inputs)
        if isinstance(left, Missing):
            missing = missing or left
        elif isinstance(right, Missing):
            missing = missing or right
        elif not _COMPARED[sign](left, right):
            return False
        left = right
    return missing if missing is not None else True
