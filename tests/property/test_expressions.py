"""Expressions: no text breaks the reader, good ones say what Python says, what is missing stays missing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.model.dimension import fit
from rules.model.evaluation import Missing, evaluate
from rules.model.expression import InvalidExpressionError, condition, formula, parse

POINTS = {"A.x": 3.5, "B.y": -2.0, "C.z": 0.0, "D.w": 1e6}
numbers = st.one_of(
    st.sampled_from([f"'{code}'" for code in POINTS]),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: repr(abs(number))),
)
signs = st.sampled_from(["+", "-", "*", "/"])
compared = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


def conditions(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.tuples(of, compared, of).map(lambda part: f"({part[0]} {part[1]} {part[2]})")
    three = st.tuples(of, compared, of, compared, of).map(lambda part: f"({' '.join(part)})")
    return st.one_of(
        one,
        three,
        st.tuples(one, st.sampled_from(["and", "or"]), three).map(lambda part: f"({' '.join(part)})"),
        one.map(lambda part: f"(not {part})"),
    )


def larger(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(of, signs, of).map(lambda part: f"({' '.join(part)})"),
        of.map(lambda part: f"(-{part})"),
        of.map(lambda part: f"abs({part})"),
        st.tuples(st.sampled_from(["min", "max"]), of, of).map(lambda part: f"{part[0]}({part[1]}, {part[2]})"),
        st.tuples(of, conditions(of), of).map(lambda part: f"({part[0]} if {part[1]} else {part[2]})"),
    )


good = st.recursive(numbers, larger, max_leaves=12)


def python_says(text: str) -> float | bool | None:
    for code, value in POINTS.items():
        text = text.replace(f"'{code}'", f"({value!r})")
    try:
        result: float | bool = eval(text, {"__builtins__": {"abs": abs, "min": min, "max": max}})
    except ZeroDivisionError:
        return None
    return result if math.isfinite(result) else None


@given(st.one_of(good, conditions(good)))
def test_a_good_expression_says_what_python_says(text: str) -> None:
    said, expected = evaluate(parse(text), POINTS), python_says(text)
    if expected is not None and not isinstance(said, Missing):
        assert said == expected
        assert isinstance(said, bool) == isinstance(expected, bool)
    if isinstance(said, Missing):
        assert "divides by zero" in said.reason or "too large" in said.reason


@given(st.one_of(st.text(max_size=60), st.text("'AB.xy0123456789+-*/<>=()[]{}:,ifelsndotrmaxb ", max_size=80)))
def test_no_text_breaks_the_reader(text: str) -> None:
    said = ""
    try:
        parse(text)
    except InvalidExpressionError as error:
        said = str(error)
    assert len(said) < 400


@given(good, st.sampled_from(sorted(POINTS)))
def test_a_number_without_one_of_its_points_is_missing_or_the_same(text: str, gone: str) -> None:
    read, whole = parse(text), evaluate(parse(text), POINTS)
    said = evaluate(read, {**POINTS, gone: Missing(f"'{gone}' is bad")})
    if gone not in read.points:
        assert said == whole
    elif not isinstance(said, Missing):
        assert said == whole  # the part that it stands in was not needed


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("__import__('os')", "'__import__' is not known"),
        ("'A.x'.real", "is not known here"),
        ("('A.x', 1)", "is not known here"),
        ("[x for x in 'A.x']", "is not known here"),
        ("lambda: 1", "is not known here"),
        ("2 ** 9999", "is not known here"),
        ("'A.x' % 2", "is not known here"),
        ("True", "True is not a number"),
        ("None", "None is not a number"),
        ("1j", "is not a number"),
        ("b'A.x'", "is not a number"),
        ("f'{1}'", "is not known here"),
        ("1e999", "too large"),
        ("9" * 400, "too large"),
        ("(1 < 2) + 1", "says yes or no where a number is needed"),
        ("'A.x' and 'B.y'", "is no condition; compare it"),
        ("1 if 'A.x' else 2", "is no condition"),
        ("min('A.x')", "two numbers or more"),
        ("abs(1, 2)", "one number"),
        ("max(*'A.x', 1)", "is not known here"),
        ("min(1, 2, key=3)", "is not known here"),
        ("unit('A.x', 'kW')", "unit() takes"),
        ("1 < 2 is 3", "is no condition"),
        ("", "is not an expression"),
        ("1 +", "is not an expression"),
        ("1\x00", "is not an expression"),
        ("(" * 900, "is not an expression"),
        ("-" * 900 + "1", "at most"),
        ("+".join(["1"] * 300), "at most"),
        ("1 " * 3000, "at most 4000 characters"),
        ("''", "is not the code of a point"),
    ],
)
def test_what_is_no_expression_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidExpressionError) as caught:
        parse(text)
    assert sentence in str(caught.value) or "is not an expression" in str(caught.value)


def test_what_does_not_depend_on_the_missing_is_still_said() -> None:
    wet = condition("'A.x' > 0 or 'B.y' > 0")
    assert evaluate(wet, {"A.x": 1.0}) is True
    assert isinstance(evaluate(wet, {"A.x": 0.0}), Missing)
    assert evaluate(condition("'A.x' > 0 and 'B.y' > 0"), {"A.x": 0.0}) is False
    assert evaluate(formula("'A.x' if 'B.y' > 0 else 5"), {"B.y": -1.0}) == 5
    assert evaluate(formula("'A.x' / 'B.y'"), {"A.x": 1.0, "B.y": 0.0}) == Missing("it divides by zero")
    assert evaluate(formula("'A.x' + 1"), {}) == Missing("'A.x' has not been read")
    assert evaluate(formula("'A.x' + 1"), {"A.x": math.nan}) == Missing("'A.x' is no number")


UNITS = {"P.kw": "kW", "P.w": "W", "T.in": "°C", "T.out": "°C", "F.m3h": "m³/h", "S.on": "", "V.pos": "%"}
VALUES = {"P.kw": 2.0, "P.w": 500.0, "T.in": 12.0, "T.out": 7.0, "F.m3h": 10.0, "S.on": 1.0, "V.pos": 50.0}


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("'P.kw' + 'P.w'", "kW", 2.5),
        ("'P.kw' + 'P.w'", "W", 2500.0),
        ("('T.in' + 'T.out') / 2", "°C", 9.5),
        ("'T.in' - 'T.out'", "K", 5.0),
        ("'T.out' + ('T.in' - 'T.out')", "°C", 12.0),
        ("'F.m3h' * ('T.in' - 'T.out') * unit(1.163, 'kWh/m³/K')", "kW", 58.15),
        ("'P.kw' * 'V.pos'", "kW", 1.0),
        ("'S.on' * 'P.kw'", "kW", 2.0),
        ("max('P.kw', 'P.w', 1)", "kW", 2.0),
        ("'P.kw' if 'P.w' > 400 else 0", "kW", 2.0),
        ("'P.kw' / 'P.w'", "", 4.0),
        ("'T.in' * 1.8 + 32", "°C", 53.6),
    ],
)
def test_units_are_brought_together(text: str, unit: str, value: float) -> None:
    assert evaluate(fit(formula(text), UNITS, unit), VALUES) == pytest.approx(value)


def test_watts_are_compared_with_kilowatts() -> None:
    assert evaluate(fit(condition("'P.kw' > 'P.w'"), UNITS), VALUES) is True
    assert evaluate(fit(condition("'P.w' > 'P.kw'"), UNITS), VALUES) is False


@pytest.mark.parametrize(
    ("text", "unit", "sentence"),
    [
        ("'P.kw' + 'T.in'", "kW", "kW and °C cannot be added"),
        ("'P.kw' - 'F.m3h'", "kW", "kW and m³/h cannot be subtracted"),
        ("min('P.kw', 'F.m3h')", "kW", "kW and m³/h cannot be compared"),
        ("'T.in' * 'F.m3h'", "kW", "take a difference of two temperatures first"),
        ("'T.in' / 'T.out'", "", "take a difference of two temperatures first"),
        ("1 / 'T.out'", "", "take a difference of two temperatures first"),
        ("'T.in' - 'T.out'", "°C", "it comes out in K, which is not °C"),
        ("'P.kw'", "kWh", "it comes out in kW, which is not kWh"),
        ("'P.kw' + unit(1, 'florps')", "kW", "'florps' is not a unit"),
        ("'P.kw'", "florps", "'florps' is not a unit"),
    ],
)
def test_units_that_do_not_go_together_get_a_sentence(text: str, unit: str, sentence: str) -> None:
    with pytest.raises(InvalidExpressionError) as caught:
        fit(formula(text), UNITS, unit)
    assert sentence in str(caught.value)
