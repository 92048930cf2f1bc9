"""The register of personal data: what it refuses, what is in force when, when something has outlived its period."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.model.definition import InvalidDefinitionError
from rules.privacy.register import Entry, Then, in_force, parse

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXTS = ("name", "whose", "purpose", "basis")
PERIOD = {"days": 30, "since_zh": "始", "since_en": "the beginning"}


def entry(code: str = "stills", **more: Any) -> dict[str, Any]:
    said = {f"{text}_{language}": "x" for text in TEXTS for language in ("zh", "en")}
    return {
        "code": code, "valid_from": TODAY, **said, "seen_by": ["see_stills"], "holds": {code: ["picture"]},
        "kept": PERIOD, "afterwards": "delete", "erasure": "delete", **more,
    }  # fmt: skip


def definitions(*entries: dict[str, Any], **not_personal: list[str]) -> dict[str, Any]:
    return {"personal": list(entries) or [entry()], "not_personal": not_personal or {"zones": ["code"]}}


def test_a_later_entry_takes_the_place_of_an_earlier_one_from_its_day_on() -> None:
    later = entry(valid_from=TODAY + timedelta(days=10), kept={**PERIOD, "days": 60})
    found = parse(definitions(later, entry(), entry("mails")))
    assert [one.code for one in in_force(found, TODAY).entries] == ["stills", "mails"]
    days = {day: in_force(found, TODAY + timedelta(days=day)).by_table["stills"].kept for day in (0, 9, 10)}
    assert [days[day].days for day in (0, 9, 10) if days[day]] == [30, 30, 60]  # type: ignore[union-attr]
    assert in_force(found, TODAY - timedelta(days=1)).entries == ()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (definitions(entry(), entry()), "begins twice on one day"),
        (definitions(entry(), entry("other", holds={"stills": ["picture"]})), "declared twice"),
        (definitions(entry(), entry("other", holds={"stills": ["camera"]})), "belongs to one of them"),
        (definitions(entry(), stills=["picture"]), "declared twice"),
        (definitions(entry(kept=None)), "do not fit"),
        (definitions(entry(afterwards="keep")), "do not fit"),
        (definitions(entry(kept=None, afterwards="keep")), "why something is kept"),
        (definitions(entry(erasure="keep")), "why something is kept"),
        (definitions(entry(reason_zh="因", reason_en="because")), "why something is kept"),
        (definitions(entry(kept={**PERIOD, "days": -1})), "greater than or equal to 0"),
        (definitions(entry(holds={})), "at least 1"),
        (definitions(entry(secret="x")), "not a known key"),
        (definitions(entry(afterwards="burn")), "afterwards"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_a_sentence(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=sentence):
        parse(data)


@given(days=st.integers(0, 3_650), age_s=st.integers(0, 400_000_000))
def test_something_has_outlived_its_period_from_the_moment_on_at_which_it_is_over(days: int, age_s: int) -> None:
    kept = Entry.model_validate(entry(kept={**PERIOD, "days": days}))
    assert kept.due(NOW - timedelta(seconds=age_s), NOW) == (age_s >= days * 86_400)


def test_what_is_kept_without_an_end_never_outlives_it() -> None:
    kept = Entry.model_validate(
        entry(kept=None, afterwards="keep", erasure="keep", reason_zh="因", reason_en="because")
    )
    assert kept.afterwards is Then.KEEP
    assert not kept.due(NOW - timedelta(days=36_500), NOW)
    with pytest.raises(ValueError, match="without an end"):
        kept.before(NOW)


def test_yaml_gives_the_same_as_python() -> None:
    assert parse(yaml.safe_load(yaml.safe_dump(definitions()))) == parse(definitions())
