"""Every worked example comes out exactly as it says; what nothing answers yet is skipped with the issue that brings it.

``pytest tests/cases`` runs the examples beside this file, ``pytest tests/cases --cases FILE`` those of another.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
import yaml

from tests.cases.adapters import ADAPTERS, LATER, LATER_INPUTS, adapter
from tests.cases.conftest import DEFAULT


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        path = metafunc.config.getoption("--cases", default=DEFAULT)
        cases = yaml.safe_load(path.read_text("utf-8"))["cases"]
        metafunc.parametrize("case", cases, ids=[str(case["id"]) for case in cases])


def differs(expected: Any, found: Any, where: str) -> list[str]:
    """Name what is other than expected; numbers are compared as decimals, and what the example leaves out is free."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return [f"{where}: expected {expected}, found {found}"]
        lacking = [
            f"{where}.{key}: expected {value}, found nothing" for key, value in expected.items() if key not in found
        ]
        held = ((key, value) for key, value in expected.items() if key in found)
        return [*lacking, *(said for key, value in held for said in differs(value, found[key], f"{where}.{key}"))]
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != len(expected):
            return [f"{where}: expected {expected}, found {found}"]
        pairs = enumerate(zip(expected, found, strict=True))
        return [said for n, (one, other) in pairs for said in differs(one, other, f"{where}[{n}]")]
    return [] if same(expected, found) else [f"{where}: expected {expected!r}, found {found!r}"]


def same(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) or expected is None or isinstance(found, bool) or found is None:
        return expected is found
    if isinstance(found, date | datetime):
        return str(expected) == found.isoformat()
    try:
        return Decimal(str(expected)) == Decimal(str(found))
    except InvalidOperation:
        return str(expected) == str(found)


def test_a_worked_example_comes_out_exactly(case: Mapping[str, Any]) -> None:
    answer = adapter(case["topic"], case["inputs"])
    if isinstance(answer, str):
        pytest.skip(answer)
    assert differs(case["expected"], answer(case), str(case["id"])) == [], case.get("trap", case["title"])


def test_a_topic_that_nobody_knows_fails_with_its_name() -> None:
    with pytest.raises(LookupError, match="topic 'magic' with the inputs wand"):
        adapter("magic", {"wand": 1})
    with pytest.raises(LookupError, match="topic 'loss' with the inputs wand"):
        adapter("loss", {"wand": 1})


def test_no_topic_is_put_off_that_is_answered() -> None:
    assert not set(LATER) & set(ADAPTERS)
    assert {topic for topic, _ in LATER_INPUTS} <= set(ADAPTERS)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": "1.00"}, {"a": Decimal("1.01")}),
        ({"a": "1"}, {}),
        ({"a": None}, {"a": Decimal(0)}),
        ({"a": True}, {"a": 1}),
        ({"a": ["1", "2"]}, {"a": [Decimal(1)]}),
        ({"a": {"b": "1"}}, {"a": "1"}),
        ({"a": "2026-01-01"}, {"a": date(2026, 1, 2)}),
        ({"a": "yes"}, {"a": "no"}),
    ],
)
def test_whatever_is_other_than_expected_is_told(expected: Any, found: Any) -> None:
    assert len(differs(expected, found, "X")) == 1


def test_what_is_as_expected_is_not_told() -> None:
    found = {"a": Decimal("1.0"), "b": [1, None], "c": date(2026, 1, 1), "more": 1}
    assert differs({"a": "1.00", "b": ["1", None], "c": "2026-01-01"}, found, "X") == []
