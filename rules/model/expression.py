"""Expressions over points, as a site file writes them: read into a small typed tree.  Pure.

The words are Python's, read by its own grammar, but only these: numbers, points in quotes ('EM-1.power'), + - * /,
comparisons, and, or, not, ``x if condition else y``, min, max, abs, and ``unit(1.163, 'kWh/m³/K')`` for a constant with
a unit.  Whatever else the grammar knows is refused with a sentence; nothing is ever executed.
"""

import ast
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

CHARACTERS_MAX = 4_000
NODES_MAX = 400
DEPTH_MAX = 100
SHOWN_CHARACTERS_MAX = 60  # of it, in a sentence about it
CODE_CHARACTERS_MAX = 200


class InvalidExpressionError(ValueError):
    """The text is not an expression that can be used; one sentence without its full stop."""


@dataclass(frozen=True, slots=True)
class Number:
    """A constant; without a unit it goes with any."""

    value: float
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """The value of a point."""

    point: str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers joined by + - * or /."""

    sign: str
    left: "Numeric"
    right: "Numeric"


@dataclass(frozen=True, slots=True)
class Negative:
    """A number with its sign turned."""

    of: "Numeric"


@dataclass(frozen=True, slots=True)
class Call:
    """min, max or abs of numbers."""

    name: str
    parts: tuple["Numeric", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of two numbers, by a condition."""

    when: "Truth"
    then: "Numeric"
    otherwise: "Numeric"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Numbers compared in a row, as in 18 < x <= 26."""

    first: "Numeric"
    rest: tuple[tuple[str, "Numeric"], ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions joined by "and" or "or"."""

    word: str
    parts: tuple["Truth", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """A condition turned round."""

    of: "Truth"


Numeric = Number | Named | Arithmetic | Negative | Call | Either
Truth = Comparison | Joined | Not


@dataclass(frozen=True, slots=True)
class Expression:
    """What was written, the tree of it, and the points that it names, each once."""

    text: str
    root: Numeric | Truth
    points: tuple[str, ...]

    @property
    def is_condition(self) -> bool:
        """Whether it says yes or no instead of a number."""
        return isinstance(self.root, Comparison | Joined | Not)


_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_CALLS = {"min": 2, "max": 2, "abs": 1}  # fewest arguments
_KNOWN = "numbers, points in quotes, + - * /, comparisons, and, or, not, if ... else, min, max, abs and unit"


def parse(text: str) -> Expression:
    """Read an expression; raises InvalidExpressionError."""
    if len(text) > CHARACTERS_MAX:
        raise InvalidExpressionError(
            f"an expression has at most {CHARACTERS_MAX} characters, not {len(text)}; make a derived point of a part"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what could be meant otherwise; what is not known is refused below
            tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        place = f" near character {error.offset}" if error.offset else ""
        raise InvalidExpressionError(f"'{_short(text)}' is not an expression{place}: {error.msg}") from None
    except (ValueError, MemoryError, RecursionError):
        raise InvalidExpressionError(f"'{_short(text)}' is not an expression") from None
    reader = _Reader()
    root = reader.condition(tree, 0) if _says_yes_or_no(tree) else reader.number(tree, 0)
    return Expression(text.strip(), root, tuple(reader.points))


def condition(text: str) -> Expression:
    """Read an expression that has to say yes or no; raises InvalidExpressionError."""
    read = parse(text)
    if not read.is_condition:
        raise InvalidExpressionError(f"'{_short(text)}' is a number; compare it with one, as in 'LEAK-1.wet' == 1")
    return read


def formula(text: str) -> Expression:
    """Read an expression that has to give a number; raises InvalidExpressionError."""
    read = parse(text)
    if read.is_condition:
        raise InvalidExpressionError(f"'{_short(text)}' says yes or no; write (1 if ... else 0) around it for a number")
    return read


class _Reader:
    """Turns the grammar's tree into ours, counting as it goes."""

    def __init__(self) -> None:
        self.points: dict[str, None] = {}
        self._nodes = 0

    def _enter(self, depth: int) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise InvalidExpressionError(
                f"an expression has at most {NODES_MAX} parts, {DEPTH_MAX} deep; make a derived point of some of them"
            )

    def number(self, node: ast.expr, depth: int) -> Numeric:
        """Read what has to be a number."""
        self._enter(depth)
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.BinOp() if type(node.op) in _SIGNS:
                sign = _SIGNS[type(node.op)]
                return Arithmetic(sign, self.number(node.left, depth + 1), self.number(node.right, depth + 1))
            case ast.UnaryOp(op=ast.USub()):
                return Negative(self.number(node.operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd()):
                return self.number(node.operand, depth + 1)
            case ast.IfExp():
                when = self.condition(node.test, depth + 1)
                return Either(when, self.number(node.body, depth + 1), self.number(node.orelse, depth + 1))
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return self._call(name, node.args, depth)
        if _says_yes_or_no(node):
            raise InvalidExpressionError(f"'{_source(node)}' says yes or no where a number is needed")
        raise InvalidExpressionError(f"'{_source(node)}' is not known here; there are {_KNOWN}")

    def condition(self, node: ast.expr, depth: int) -> Truth:
        """Read what has to say yes or no."""
        self._enter(depth)
        match node:
            case ast.Compare() if all(type(op) in _COMPARED for op in node.ops):
                signs = [_COMPARED[type(op)] for op in node.ops]
                rest = [self.number(part, depth + 1) for part in node.comparators]
                return Comparison(self.number(node.left, depth + 1), tuple(zip(signs, rest, strict=True)))
            case ast.BoolOp():
                word = "and" if isinstance(node.op, ast.And) else "or"
                return Joined(word, tuple(self.condition(part, depth + 1) for part in node.values))
            case ast.UnaryOp(op=ast.Not()):
                return Not(self.condition(node.operand, depth + 1))
        raise InvalidExpressionError(
            f"'{_source(node)}' is no condition; compare it with a number, as in 'LEAK-1.wet' == 1"
        )

    def _constant(self, node: ast.Constant) -> Numeric:
        value = node.value
        if isinstance(value, str):
            if not 0 < len(value) <= CODE_CHARACTERS_MAX or not value.isprintable():
                raise InvalidExpressionError(f"{_short(repr(value))} is not the code of a point")
            self.points[value] = None
            return Named(value)
        return Number(_finite(node))

    def _call(self, name: str, parts: Sequence[ast.expr], depth: int) -> Numeric:
        if name == "unit":
            match parts:
                case [ast.Constant() as number, ast.Constant(value=str(unit))] if not isinstance(number.value, str):
                    return Number(_finite(number), unit)
            raise InvalidExpressionError("unit() takes a number and a unit in quotes, as in unit(1.163, 'kWh/m³/K')")
        fewest = _CALLS.get(name)
        if fewest is None:
            raise InvalidExpressionError(f"'{_short(name)}' is not known here; there are {_KNOWN}")
        if len(parts) < fewest or (name == "abs" and len(parts) > 1):
            raise InvalidExpressionError(f"{name}() takes {'one number' if name == 'abs' else 'two numbers or more'}")
        return Call(name, tuple(self.number(part, depth + 1) for part in parts))


def _says_yes_or_no(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def _finite(node: ast.Constant) -> float:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidExpressionError(f"{_short(repr(value))} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidExpressionError(f"'{_source(node)}' is too large a number")
    return number


def _source(node: ast.expr) -> str:
    try:
        return _short(ast.unparse(node))
    except (RecursionError, ValueError):
        return "a part of it"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]} ..."
