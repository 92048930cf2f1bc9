"""Events of doors and cameras survive wire and spool as they are; whatever else arrives is refused."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from rules.model.event import BADGE_CHARACTERS_MAX, STILL_BYTES_MAX, BadgeEvent, Event, Still
from rules.wire.event import ABOUT, CAUSES, EVENT, RESULTS, event_metric, event_of, head, joined, picture
from rules.wire.sparkplug import PAYLOAD_BYTES_MAX, DataType, MalformedPayloadError, Metric, Payload, decode, encode

CODES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True)
MOMENTS = st.integers(0, 10**12).map(lambda ms: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
PRINTED = st.text(min_size=1, max_size=BADGE_CHARACTERS_MAX).filter(str.isprintable)
BADGES = st.builds(BadgeEvent, st.uuids(), CODES, MOMENTS, st.sampled_from(sorted(RESULTS)), st.none() | PRINTED)
STILLS = st.builds(Still, st.uuids(), CODES, MOMENTS, st.sampled_from(sorted(CAUSES)), st.binary(max_size=2_000))


@given(BADGES | STILLS)
def test_an_event_comes_back_as_it_went(event: Event) -> None:
    [metric] = decode(encode(Payload(None, 1, (event_metric(event),)))).metrics
    assert metric.name == EVENT
    assert event_of(metric) == event
    assert joined(head(event), picture(event)) == event


@given(st.text(max_size=200) | st.binary(max_size=200) | st.floats() | st.none(), st.text(max_size=100))
def test_anything_else_is_refused(value: str | bytes | float | None, about: str) -> None:
    try:
        event_of(Metric(name=EVENT, value=value, datatype=DataType.STRING, properties={ABOUT: about}))
    except MalformedPayloadError as error:
        assert "cannot be used" in str(error) or "more than" in str(error)  # noqa: PT017  no event was made of it
    else:
        raise AssertionError(value)


def test_the_largest_still_fits_into_one_message() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    still = Still(UUID(int=1), "C" * 64, at, "motion", bytes(STILL_BYTES_MAX))
    assert len(encode(Payload(at, 255, (event_metric(still),)))) < PAYLOAD_BYTES_MAX
