"""Forced and held open, judged from contact, lock and time."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.control.door import Manners, Mishap, Watched, judge

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
MANNERS = Manners(held_s=30, grace_s=2)


def after(*looks: tuple[float, bool | None, bool]) -> tuple[Watched, list[tuple[float, Mishap]]]:
    """Judge a row of looks: seconds, whether the door is open, whether it is released."""
    door, begun = Watched(), []
    for at_s, is_open, released in looks:
        door, new = judge(door, MANNERS, is_open=is_open, released=released, now=START + timedelta(seconds=at_s))
        begun += [(at_s, mishap) for mishap in new]
    return door, begun


def test_a_door_that_opens_while_nothing_releases_it_was_forced_until_it_closes() -> None:
    door, begun = after((0, False, False), (5, True, False), (6, True, False))
    assert begun == [(5, Mishap.FORCED)]
    assert door.forced
    door, begun = after((0, False, False), (5, True, False), (6, False, False))
    assert not door.forced


def test_a_door_that_opens_while_it_is_released_or_just_was_is_in_order() -> None:
    assert after((0, False, False), (4, False, True), (5, True, True))[1] == []
    assert after((0, False, False), (4, False, True), (5, True, False))[1] == []
    assert after((0, False, False), (4, False, True), (7, True, False))[1] == [(7, Mishap.FORCED)]


def test_a_door_that_stays_open_is_held_once_after_its_time() -> None:
    looks = ((0, False, True), (1, True, True), (30, True, False), (31, True, False), (60, True, False))
    door, begun = after(*looks)
    assert begun == [(31, Mishap.HELD)]
    assert door.held
    assert not after(*looks, (61, False, False))[0].held


def test_a_forced_door_is_held_too_when_it_stays_open() -> None:
    assert after((0, False, False), (1, True, False), (31, True, False))[1] == [(1, Mishap.FORCED), (31, Mishap.HELD)]


def test_a_door_that_is_open_when_first_seen_was_not_forced_but_can_be_held() -> None:
    assert after((0, True, False), (30, True, False))[1] == [(30, Mishap.HELD)]
    assert after((0, False, False), (1, None, False), (2, True, False))[1] == []


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.booleans(), st.floats(0, 60)), max_size=40))
def test_a_mishap_begins_only_at_an_open_door_and_never_twice_before_it_closes(
    steps: list[tuple[bool | None, bool, float]],
) -> None:
    door, now, since_closed = Watched(), START, []
    for is_open, released, wait_s in steps:
        now += timedelta(seconds=wait_s)
        door, begun = judge(door, MANNERS, is_open=is_open, released=released, now=now)
        if not is_open:
            assert not begun
            assert not door.forced
            assert not door.held
            since_closed = []
        since_closed += begun
        assert len(set(since_closed)) == len(since_closed)
