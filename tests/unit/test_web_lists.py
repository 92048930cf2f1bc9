"""Exports, usage of the day, notices of change."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from hub.store import live
from web.console.usage import Complete, bars
from web.export import cell, table


def test_readings_are_complete_only_when_none_is_missing() -> None:
    assert Complete(28, 9_999, 10_000).percent == 99.9
    assert Complete(28, 616, 616).percent == 100


def test_hours_that_are_not_known_have_no_bar() -> None:
    assert [bar.share for bar in bars([None, 2.0, 4.0, 0.0])] == [None, 0.5, 1.0, 0.0]


@pytest.mark.parametrize(("value", "written"), [
    ("=cmd()", "'=cmd()"), ("+86 21", "'+86 21"), ("\n=1", "'\n'=1"), ("\uff1d1+1", "'\uff1d1+1"),
    (-3.5, "-3.5"), (Decimal("-1.50"), "-1.50"), (None, ""),
    (datetime(2026, 1, 1, 8, tzinfo=UTC), "2026-01-01T08:00:00.000Z"),
])  # fmt: skip
def test_text_never_begins_a_formula_and_numbers_stay_numbers(value: object, written: str) -> None:
    assert cell(value) == written


def test_csv_opens_in_a_spreadsheet_with_its_chinese() -> None:
    response = table("points", [{"name": "水表"}])
    assert bytes(response.body).decode() == "\ufeffname\r\n水表\r\n"


def test_notices_that_nobody_can_read_are_passed_over() -> None:
    organisation = uuid4()
    said = {"kind": "alarm", "id": "1", "organisation": str(organisation)}
    assert live.parse(json.dumps(said)) == live.Change("alarm", "1", organisation)
    for bad in ("", "[]", "{}", '{"kind": "alarm", "id": 1, "organisation": "x"}', "null"):
        assert live.parse(bad) is None
