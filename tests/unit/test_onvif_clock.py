"""Times of ONVIF devices: what they write, how far they are off, and when something happened by our clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.onvif.clock import happened, moment
from drivers.onvif.markup import parse
from drivers.onvif.message import messages
from simulators.onvif_soap import SPACES, notification

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ZERO = timedelta(0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-29T12:00:00Z", NOW),
        ("2026-11-29T12:00:00", NOW),
        ("2026-11-29T20:00:00+08:00", NOW),
        (" 2026-11-29T12:00:00.25Z ", NOW + timedelta(milliseconds=250)),
        ("2026-11-29T12:00:00.1234567890Z", NOW + timedelta(microseconds=123456)),
        ("2026-11-29T25:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_is_read_or_it_is_none(text: str, wanted: datetime | None) -> None:
    assert moment(text) == wanted


@given(st.text(max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    assert moment(text) is None or moment(text) is not None


def test_an_event_has_the_devices_time_less_its_skew_where_that_can_be() -> None:
    two_hours = timedelta(hours=2)
    said = NOW - timedelta(seconds=5) + two_hours
    assert happened(said, two_hours, NOW) == NOW - timedelta(seconds=5)
    assert happened(NOW - timedelta(seconds=5), ZERO, NOW) == NOW - timedelta(seconds=5)
    assert happened(NOW + timedelta(seconds=1), ZERO, NOW) == NOW  # a little ahead is now
    for strange in (None, datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(days=1), NOW - timedelta(hours=2)):
        assert happened(strange, ZERO, NOW) == NOW


def test_messages_are_read_whatever_their_prefixes_and_the_rest_is_passed_over() -> None:
    good = notification("Door/State/DoorAlarm", NOW, "Changed", {"DoorToken": "D<1>"}, {"State": "DoorForcedOpen"})
    odd = "<wsnt:NotificationMessage><wsnt:Topic>x</wsnt:Topic></wsnt:NotificationMessage>"
    declared = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in SPACES.items())
    text = f"<a {declared}>{good}{odd}{good.replace('tns1:Door', 'other:Door')}<b/></a>"
    first, second = messages(parse(text.encode(), "the device"))
    assert first == second
    assert (first.topic, first.at, first.operation) == ("Door/State/DoorAlarm", NOW, "Changed")
    assert (first.source, first.alarm) == ({"DoorToken": "D<1>"}, "DoorForcedOpen")
