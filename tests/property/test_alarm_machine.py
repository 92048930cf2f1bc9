"""The state machine of an alarm, whatever arrives in whatever portions."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from rules.detect.alarm import Event, Phase, State, Turn, step, tick
from rules.detect.condition import Truth, evaluate
from rules.detect.rule import Limit, Priority, Rule

START = datetime(2026, 11, 23, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


def _rule(on_s: int = 0, off_s: int = 0) -> Rule:
    said = dict.fromkeys(("name_zh", "name_en", "cause_zh", "cause_en", "advice_zh", "advice_en"), "x")
    return Rule(
        code="r", version=1, valid_from=date(2026, 1, 1), priority=Priority.LOW, on_delay_s=on_s, off_delay_s=off_s,
        condition=Limit(kind="limit", measure="v", above=10, deadband=2), **said,
    )  # fmt: skip


def _at(second: float) -> datetime:
    return START + timedelta(seconds=second)


delays = st.integers(0, 40)
# (seconds since the reading before, what it says)
stories = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(Truth)), max_size=40)


def _timed(story):
    second = 0
    for gap, truth in story:
        second += gap
        yield second, truth


def _play(rule, story, ticks=()):
    """Play a story with ticks of the clock in between; give the final state and all events."""
    state, events = State(), []
    moments = sorted([(s, 1, t) for s, t in _timed(story)] + [(s, 0, None) for s in ticks], key=lambda m: m[:2])
    for second, _, truth in moments:
        state, more = tick(state, rule, _at(second)) if truth is None else step(state, rule, _at(second), truth)
        events += more
    return state, events


@given(delays, delays, stories, st.lists(st.integers(0, 1300), max_size=30))
def test_events_are_the_same_whenever_the_clock_is_looked_at(on_s, off_s, story, ticks):
    rule, end = _rule(on_s, off_s), 2000
    plain_state, plain = _play(rule, story, [end])
    state, events = _play(rule, story, [*ticks, end])
    assert (state, events) == (plain_state, plain)


@given(delays, delays, stories)
def test_events_alternate_in_time_and_match_the_state(on_s, off_s, story):
    state, events = _play(_rule(on_s, off_s), story)
    assert [e.turn for e in events] == [Turn.RAISED, Turn.CLEARED] * (len(events) // 2) + [Turn.RAISED] * (
        len(events) % 2
    )
    assert all(a.at <= b.at for a, b in pairwise(events))
    assert state.standing == (len(events) % 2 == 1)


@given(st.integers(1, 40), st.integers(0, 40), stories)
def test_no_alarm_is_raised_unless_the_condition_held_for_the_whole_on_delay(on_s, off_s, story):
    _, events = _play(_rule(on_s, off_s), story)
    said = list(_timed(story))
    for raised in (e for e in events if e.turn is Turn.RAISED):
        assert raised.at - raised.since >= timedelta(seconds=on_s)
        during = [t for s, t in said if raised.since <= _at(s) < raised.at]
        assert during[0] is Truth.YES
        assert set(during) <= {Truth.YES, Truth.UNKNOWN}


@given(st.integers(0, 40), st.integers(1, 40), stories)
def test_no_alarm_clears_unless_the_condition_was_gone_for_the_whole_off_delay(on_s, off_s, story):
    _, events = _play(_rule(on_s, off_s), story)
    said = list(_timed(story))
    for cleared in (e for e in events if e.turn is Turn.CLEARED):
        assert cleared.at - cleared.since >= timedelta(seconds=off_s)
        during = [t for s, t in said if cleared.since <= _at(s) < cleared.at]
        assert set(during) <= {Truth.NO, Truth.UNKNOWN}


@given(delays, delays, stories)
def test_repeating_every_reading_changes_nothing(on_s, off_s, story):
    twice = [entry for gap, truth in story for entry in ((gap, truth), (0, truth))]
    rule = _rule(on_s, off_s)
    assert _play(rule, twice)[1] == _play(rule, story)[1]


@given(st.lists(st.floats(8.01, 100), min_size=1, max_size=60))
def test_a_value_that_never_leaves_the_deadband_never_clears(values):
    rule, state, events = _rule(), State(), []
    for second, value in enumerate([11.0, *values]):
        truth = evaluate(rule, {"v": value}, _at(second), UTC_ZONE, held=state.held)
        state, more = step(state, rule, _at(second), truth)
        events += more
    assert [e.turn for e in events] == [Turn.RAISED]


def test_a_gap_in_the_data_keeps_the_state_and_lets_no_delay_run_out():
    rule = _rule(10, 10)
    state, _ = step(State(), rule, _at(0), Truth.YES)
    state, _ = step(state, rule, _at(5), Truth.UNKNOWN)
    assert tick(state, rule, _at(60)) == (state, ())
    state, events = step(state, rule, _at(61), Truth.YES)
    assert events == (Event(Turn.RAISED, _at(61), _at(0)),)
    state, _ = step(state, rule, _at(70), Truth.UNKNOWN)
    assert tick(state, rule, _at(900))[0].phase is Phase.ACTIVE


def test_a_fan_that_stops_neither_raises_nor_repairs():
    rule = _rule(10, 10)
    pending, _ = step(State(), rule, _at(0), Truth.YES)
    stopped, events = step(pending, rule, _at(9), Truth.MASKED)
    assert (stopped.phase, events) == (Phase.NORMAL, ())
    active, _ = tick(pending, rule, _at(10))
    clearing, _ = step(active, rule, _at(20), Truth.NO)
    assert step(clearing, rule, _at(25), Truth.MASKED)[0].phase is Phase.ACTIVE
    assert step(active, rule, _at(25), Truth.MASKED)[0].phase is Phase.ACTIVE


def test_a_slower_point_never_turns_the_clock_of_the_alarm_back():
    rule = _rule(0, 10)
    active, _ = step(State(), rule, _at(100), Truth.YES)
    clearing, _ = step(active, rule, _at(90), Truth.NO)
    assert clearing == State(Phase.CLEARING, _at(100))
