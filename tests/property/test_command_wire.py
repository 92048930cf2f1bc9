"""A command and its answer arrive as they were sent, and nothing else is taken for one."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.control.command import Answer, Command, Outcome
from rules.wire.command import EXPIRES, ISSUED, answer_metric, answer_of, command_metric, command_of
from rules.wire.sparkplug import DataType, MalformedPayloadError, Metric, Payload, decode, encode

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001  # they get UTC
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
)
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
COMMANDS = st.builds(
    Command, id=WORDS, point=WORDS.map(lambda word: f"AHU-1.{word}"), value=NUMBERS, issued_at=MOMENTS,
    expires_at=MOMENTS, by=WORDS, seconded=st.booleans(),
)  # fmt: skip
ANSWERS = st.builds(
    Answer, id=WORDS, outcome=st.sampled_from(list(Outcome)), at=MOMENTS, shown=NUMBERS, reason=st.text(max_size=50)
)


def sent(metric: Metric) -> Metric:
    return decode(encode(Payload(NOW, None, (metric,)))).metrics[0]


@given(COMMANDS)
def test_a_command_arrives_as_it_was_given(command: Command) -> None:
    assert command_of("AHU-1", sent(command_metric("AHU-1", command))) == command


@given(ANSWERS)
def test_an_answer_arrives_as_it_was_given(answer: Answer) -> None:
    assert answer_of(sent(answer_metric(answer))) == answer


GIVEN = command_metric("AHU-1", Command("c1", "AHU-1.setpoint", 21.0, NOW, NOW, "li.wei"))


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (Metric(name="setpoint", value=21.0), "lacks"),
        (replace(GIVEN, name=""), "its measure"),
        (replace(GIVEN, value="21", datatype=DataType.STRING), "a text instead of a number"),
        (replace(GIVEN, properties={**GIVEN.properties, EXPIRES: "soon"}), "no moment"),
        (replace(GIVEN, properties={**GIVEN.properties, ISSUED: "2026-03-01T08:00:00"}), "no offset"),
        (replace(GIVEN, name="x" * 300), "more than 200"),
    ],
)
def test_what_lacks_what_makes_it_safe_is_no_command(metric: Metric, says: str) -> None:
    with pytest.raises(MalformedPayloadError, match=says):
        command_of("AHU-1", metric)


@given(
    st.text(max_size=60) | st.just('{"id": 1, "outcome": "done", "at": "x", "shown": null, "reason": ""}') | st.none()
)
def test_no_text_breaks_the_reader_of_answers(text: str | None) -> None:
    with pytest.raises(MalformedPayloadError):
        answer_of(Metric(value=text, datatype=DataType.STRING))
