"""Following a rule through batches: how readings are cut into batches does not matter."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from hub.alarms.definitions import load
from rules.detect.alarm import Phase, State
from rules.detect.watch import Said, follow, listen
from tests.judging import RIVERSIDE_RULES

START = datetime(2026, 11, 23, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
RULES = {rule.code: rule for rule in load([RIVERSIDE_RULES]).rules}
DEVIATION = RULES["supply-air-temperature-deviation"]

values = st.one_of(st.none(), st.sampled_from([15.0, 16.0, 18.7, 22.0]))
fans = st.sampled_from([None, 0.0, 1.0, 1.0, 1.0])
polls = st.lists(st.tuples(st.integers(1, 8), values, st.just(16.0), fans), max_size=30)


def _said(polls):
    second = 0
    for gap, supply, setpoint, fan in polls:
        second += gap
        at = START + timedelta(seconds=second)
        yield [Said("supply_temp", at, supply), Said("supply_setpoint", at, setpoint), Said("fan_running", at, fan)]


@given(polls, st.data())
def test_the_cut_into_batches_and_the_order_in_them_do_not_matter(polls, data):
    said = list(_said(polls))
    whole = follow(DEVIATION, State(), {}, [one for poll in said for one in poll], ZONE)
    state, happened = State(), []
    while said:
        size = data.draw(st.integers(1, len(said)))
        batch = data.draw(st.permutations([one for poll in said[:size] for one in poll]))
        part = follow(DEVIATION, state, {}, batch, ZONE)
        state, said = part.state, said[size:]
        happened += part.happenings
    assert (state, tuple(happened)) == (whole.state, whole.happenings)


def test_measures_that_did_not_speak_keep_their_value():
    at = START + timedelta(seconds=9)
    rest = {"supply_setpoint": 16.0, "fan_running": 1.0}
    hot = follow(DEVIATION, State(), rest, [Said("supply_temp", at, 22.0)], ZONE)
    assert hot.state == State(Phase.PENDING, at)
    other = follow(DEVIATION, State(), {**rest, "supply_temp": 22.0}, [Said("outdoor_temp", at, 1.0)], ZONE)
    assert other.state == State()  # nothing that the rule reads has changed


def test_silence_counts_from_when_the_hub_began_to_listen():
    rule = RULES["device-stale"]
    state = State(Phase.NORMAL, START)
    late = START + timedelta(seconds=100)
    assert listen(rule, state, START, late, late + timedelta(seconds=14)).happenings == ()
    (raised,) = listen(rule, state, START, late, late + timedelta(seconds=15)).happenings
    assert (raised.event.at, raised.value, raised.threshold) == (late + timedelta(seconds=15), None, 15.0)
