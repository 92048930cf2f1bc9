"""How long readings are kept, by what a point measures and whether bills rest on it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from hub.keeping import definitions
from rules.model.definition import InvalidDefinitionError
from rules.model.point import Kind
from rules.model.retention import MARGIN, Retention, ends, in_force, parse

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
TEXT = """
- valid_from: 2026-01-01
  papers: 10958
  classes:
    - {code: energy, name_zh: 电, name_en: Energy, why: Bills., kinds: [counter], units: [kWh],
       raw: 3653, hourly: 9000, daily: 9000}
    - {code: rest, name_zh: 其他, name_en: Rest, why: Rest., kinds: [counter, gauge, state],
       raw: 400, hourly: 800, daily: 900}
"""


def rules(**changes: Any) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = yaml.safe_load(TEXT)
    data[0]["classes"][0] |= changes
    return data


@pytest.fixture
def rule() -> Retention:
    return parse(rules())[0]


def test_a_point_belongs_to_the_first_class_that_fits_what_it_measures(rule: Retention) -> None:
    asked = [(Kind.COUNTER, "kWh"), (Kind.COUNTER, "MJ"), (Kind.COUNTER, "h"), (Kind.GAUGE, "kWh"), (Kind.STATE, "")]
    assert [rule.of(kind, unit).code for kind, unit in asked] == ["energy", "energy", "rest", "rest", "rest"]


def test_a_counter_of_a_unit_that_nobody_knows_is_kept_as_long_as_any(rule: Retention) -> None:
    assert rule.of(Kind.COUNTER, "flurbs").code == "energy"


def test_what_has_outlived_its_period_ends_there(rule: Retention) -> None:
    found = ends(rule.of(Kind.GAUGE, "kW"), Kind.GAUGE, date(2020, 1, 1), ZONE, NOW)
    assert (found.raw, found.daily) == (NOW - timedelta(days=400), NOW - timedelta(days=900))


def test_what_a_bill_rests_on_stays_with_a_margin_before_its_first_day(rule: Retention) -> None:
    kept = rule.of(Kind.COUNTER, "h")
    bound = datetime(2025, 1, 1, tzinfo=ZONE) - MARGIN
    found = ends(kept, Kind.COUNTER, date(2025, 1, 1), ZONE, NOW)
    assert found.raw == min(bound, NOW - timedelta(days=400))
    long_ago = ends(kept, Kind.COUNTER, date(2012, 1, 1), ZONE, NOW)
    assert (long_ago.raw, long_ago.hourly, long_ago.daily) == (datetime(2012, 1, 1, tzinfo=ZONE) - MARGIN,) * 3


def test_the_newest_entry_that_has_begun_holds(rule: Retention) -> None:
    later = rule.model_copy(update={"valid_from": date(2027, 1, 1)})
    assert [in_force([later, rule], day) for day in (date(2025, 1, 1), date(2026, 5, 5), date(2027, 1, 1))] == [
        rule, rule, later,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"raw": 30}, "greater than or equal to 92"),
        ({"raw": 9500}, "must not become shorter"),
        ({"units": ["flurbs"]}, "'flurbs' is not a unit"),
        ({"kinds": ["colour"]}, "'counter', 'gauge' or 'state'"),
        ({"code": "rest"}, "same code"),
        ({"for_ever": True}, "not a known key"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=said):
        parse(rules(**changes))


def test_a_file_that_leaves_points_out_or_begins_twice_is_refused() -> None:
    data = rules()
    with pytest.raises(InvalidDefinitionError, match="begin on 2026-01-01"):
        parse(data + rules())
    data[0]["classes"].pop()
    with pytest.raises(InvalidDefinitionError, match="whatever is left"):
        parse(data)
    with pytest.raises(InvalidDefinitionError):
        parse([])


def test_the_shipped_file_keeps_meters_for_years_and_levels_for_a_year_and_a_month() -> None:
    shipped = definitions.retention(date(2026, 12, 1))
    assert shipped.of(Kind.COUNTER, "m³").raw > 3650
    assert 395 <= shipped.of(Kind.GAUGE, "kW").raw <= 730
    assert definitions.load()[0].valid_from == date(2026, 11, 29)
