"""Screen words: every one has its Chinese; codes of the hub have words; numbers and times are written as people do."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from hub.access import service as access
from rules.model.quality import Quality
from rules.work.order import Status, Verb
from web import language, sign_in, words

CJK = "[\u3400-\u9fff]"
WEB = Path(language.__file__).parent
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
KEYWORDS = {"N_": None, "_": None, "gettext": None, "ngettext": (1, 2)}


def catalogue() -> Catalog:
    with (WEB / "locale" / "zh" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file)


def said_on_screens() -> set[str]:
    options = {"templates/**.html": {"silent": "false"}}
    found = extract_from_dir(str(WEB), METHODS, options_map=options, keywords=KEYWORDS)
    return {message for _, _, message, _, _ in found if isinstance(message, str) and message}


def test_every_screen_word_has_its_chinese() -> None:
    known = {message.id: message.string for message in catalogue()}
    assert sorted(word for word in said_on_screens() if not known.get(word)) == []


def test_the_catalogue_holds_nothing_that_no_screen_says() -> None:
    assert sorted({message.id for message in catalogue() if message.id} - said_on_screens()) == []


def test_placeholders_are_the_same_in_both_languages() -> None:
    known = catalogue()
    for message in known:
        assert not list(message.check(known)), message.id


@pytest.mark.parametrize("sentence", [access.REFUSAL, sign_in.STALE_FORM])
def test_fixed_refusals_are_translated(sentence: str) -> None:
    assert sentence in words.SENTENCES


def test_states_verbs_and_qualities_all_have_words() -> None:
    codes = [f"order.{state}" for state in Status] + [f"verb.{verb}" for verb in Verb]
    codes += [f"quality.{int(quality)}" for quality in Quality]
    assert [code for code in codes if code not in words.WORDS] == []


def test_a_code_without_a_word_stands_for_itself() -> None:
    assert words.word("measure.return_pressure") == "return pressure"


@pytest.mark.parametrize("message", [m for m in catalogue() if m.id], ids=lambda message: str(message.id)[:30])
def test_chinese_sentences_have_chinese_punctuation(message: Message) -> None:
    assert not re.search(f"{CJK}[,;:!?()]|[,;:!?(]{CJK}", str(message.string))


def test_chinese_words_in_the_code_of_the_screens_have_chinese_punctuation() -> None:
    pages = [*WEB.rglob("templates/**/*.html"), *WEB.rglob("*.py"), *WEB.glob("static/*.js")]
    assert [path.name for path in pages if re.search(f"{CJK}[,;:!?()]", path.read_text("utf-8"))] == []


@pytest.mark.parametrize(("login", "shown"), [
    ("plantroom/jobs", "Plantroom"), ("plantroom/ingest", "Plantroom"), ("plantroom", "Plantroom"),
    ("wang.jianguo", "wang.jianguo"), ("plantroomer", "plantroomer"),
])  # fmt: skip
def test_parts_of_the_machine_act_under_its_name(login: str, shown: str) -> None:
    assert words.actor(login) == shown


@pytest.mark.parametrize(("kind", "text", "written"), [
    (language.price, "95.0000", "95.00"), (language.price, "1.4230", "1.4230"), (language.price, "5.9300", "5.93"),
    (language.price, "95", "95.00"), (language.amount, "49400.000000", "49,400.00"),
    (language.amount, "135.868040", "135.86804"), (language.amount, "0.00000012", "0.00"),
    (language.reading, "936586.90", "936,586.90"), (language.reading, "17182.4536666666", "17,182.453667"),
    (language.reading, "-5", "-5"),
])  # fmt: skip
def test_the_numbers_of_a_bill_line_are_written_as_people_read_them(
    kind: Callable[[str, str], str], text: str, written: str
) -> None:
    assert kind(text, "en") == kind(text, "zh") == written


def test_evidence_has_the_year_and_the_millisecond() -> None:
    at = datetime(2026, 1, 31, 16, 0, 0, 7_000, tzinfo=UTC)
    assert language.instant(at, ZoneInfo("Asia/Shanghai"), "zh") == "2026-02-01 00:00:00.007"
    assert language.instant(at, ZoneInfo("Asia/Shanghai"), "en") == "1 Feb 2026 00:00:00.007"


def test_missing_is_written_as_a_dash_and_never_as_zero() -> None:
    assert language.number(None, "en") == language.day(None, "zh") == language.MISSING
    assert language.number(0.0, "en", 1) == "0.0"


def test_numbers_keep_the_places_of_their_resolution() -> None:
    assert language.number(1234.5, "zh", language.places(Decimal("0.01"))) == "1,234.50"
    assert language.places(Decimal(10)) == 0


def test_times_are_those_of_the_site() -> None:
    at = datetime(2026, 1, 31, 16, 0, tzinfo=UTC)
    assert language.clock(at, ZoneInfo("Asia/Shanghai"), "zh") == "02-01 00:00:00"
    assert language.day(date(2026, 2, 1), "en") == "1 Feb 2026"


@pytest.mark.parametrize(("cookie", "accept", "chosen"), [
    ("en", "zh-CN", "en"), (None, "en-GB,en;q=0.9", "en"), (None, "fr, zh;q=0.5", "zh"), ("xx", "", "zh"),
])  # fmt: skip
def test_the_language_is_the_cookies_then_the_browsers(cookie: str | None, accept: str, chosen: str) -> None:
    assert language.choose(cookie, accept) == chosen


@pytest.mark.parametrize("path", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", ""])
def test_signing_in_never_leads_elsewhere(path: str) -> None:
    assert sign_in.inside(path) == "/"
