"""What a reader tells and is told, and what that means at its door."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from osdp.constants import CardFormat, Event, StatusReportType

from drivers.catalogue import parse
from drivers.osdp.profile import OsdpProfile
from drivers.osdp.states import States, badge_of
from rules.model.event import BADGE_CHARACTERS_MAX, BadgeEvent
from tests.contract.ground_osdp import PROFILE

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def status(kind: int, *octets: int) -> Mapping[str, Any]:
    return {"event": Event.Status, "type": kind, "report": bytes(octets)}


def card(number: int) -> Mapping[str, Any]:
    return {"event": Event.CardRead, "format": CardFormat.Wiegand, "length": 32, "data": number.to_bytes(4, "big")}


def states(text: str = PROFILE) -> States:
    profile = parse(text, "ground-osdp")
    assert isinstance(profile, OsdpProfile)
    return States("R", profile.door, {measure.name: measure for measure in profile.measure})


def results(reader: States) -> list[str]:
    return [event.result for event in reader.events if isinstance(event, BadgeEvent)]


def test_nothing_is_known_before_it_is_told() -> None:
    reader = states()
    assert {name: reader.value(name, START) for name in reader.measures} == dict.fromkeys(reader.measures)


def test_a_report_that_is_shorter_than_expected_leaves_the_rest_unknown() -> None:
    reader = states(PROFILE.replace('from = "input"', 'from = "input"\nnumber = 3'))
    reader.take(status(StatusReportType.Input, 1, 1), START)
    assert reader.value("door_open", START) is None
    reader.take(status(StatusReportType.Local, 1), START)
    assert reader.value("tamper", START) is None


def test_an_output_is_what_it_was_told_until_its_time_is_over_or_the_reader_reports() -> None:
    reader = states()
    reader.set_output(0, 5.0, START, on=True)
    reader.take(status(StatusReportType.Output, 0, 0), at(1))  # said before the command was carried out
    assert reader.value("strike", at(4)) == 1
    assert reader.value("strike", at(5)) == 0
    reader.take(status(StatusReportType.Output, 1, 0), at(6))  # somebody else has switched it
    assert reader.value("strike", at(7)) == 1
    reader.set_output(0, 0.0, at(8), on=False)
    assert reader.value("strike", at(8)) == 0


def test_a_card_is_granted_or_denied_by_what_the_lock_does_in_time() -> None:
    reader = states(PROFILE.replace("granted_s = 0.2", "granted_s = 3"))
    reader.take(card(1), START)
    reader.look(at(2.9))
    assert results(reader) == []
    reader.look(at(3))
    reader.take(card(2), at(10))
    reader.set_output(0, 5.0, at(11), on=True)
    reader.take(card(3), at(12))  # while the lock is open
    assert results(reader) == ["denied", "granted", "granted"]
    assert [event.at for event in reader.events] == [START, at(10), at(12)]


def test_cards_and_events_are_bounded() -> None:
    reader = states()
    for number in range(10_000):
        reader.take(card(number), START)
    assert len(reader.cards) <= 20
    reader.look(at(60))
    for number in range(2000):
        reader.take(card(number), at(100 + number))
    assert len(reader.events) <= 500


def test_a_reader_that_was_away_is_asked_anew() -> None:
    reader = states()
    reader.take(status(StatusReportType.Input, 1), START)
    reader.set_output(0, 0.0, START, on=True)
    reader.forget()
    assert reader.value("door_open", START) is None
    assert reader.value("strike", START) is None


def test_what_a_reader_calls_a_card_is_bounded_and_printable() -> None:
    assert badge_of(card(0x1267)) == "32:00001267"
    long = {"format": CardFormat.ASCII, "data": b"\x00A\xff1" * 100}
    assert badge_of(long) == ("A1" * 100)[:BADGE_CHARACTERS_MAX]
    assert badge_of({}) == "0:"
