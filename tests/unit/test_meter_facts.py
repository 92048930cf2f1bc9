from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from rules.meter.consumption import accumulate, consume
from rules.meter.fact import Difference, Fact, Seen, State, changed, fact_of, joined, parked, state_of
from rules.meter.series import Counter, Exchange
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.quality import Quality
from rules.model.reading import Reading

D = Decimal
START = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SETTLING = timedelta(days=3)
FACE = Counter(D("0.1"), D("10000.0"), D(40))


def day(n):
    return START + n * DAY


def series(values, exchanges=()):
    held = [Reading("EM-1.energy", day(at), value, Quality.GOOD) for at, value in values]
    return accumulate(held, FACE, exchanges)


def fact(values, first=0.0, past=1.0, exchanges=()):
    return fact_of(consume(series(values, exchanges), Period(day(first), day(past))))


WHOLE = fact([(0, 100.0), (1, 101.0)])


def test_a_fact_is_final_when_both_ends_were_read_and_nothing_late_is_expected_any_more():
    assert state_of(WHOLE, day(1), day(1), SETTLING) is State.PROVISIONAL
    assert state_of(WHOLE, day(1), day(4), SETTLING) is State.FINAL


def test_an_estimate_stays_provisional_until_a_bill_stands_on_it():
    found = fact([(-0.5, 99.0), (0.5, 100.0), (1, 101.0)])
    assert found.estimated
    assert state_of(found, day(1), day(400), SETTLING) is State.PROVISIONAL
    assert state_of(found, day(1), day(400), SETTLING, billed=True) is State.FINAL


def test_what_cannot_be_decided_is_parked_and_no_bill_makes_it_a_number():
    found = parked(DoubtError("no reading.", "没有读数。"))
    assert found.quantity is None
    assert state_of(found, day(1), day(400), SETTLING, billed=True) is State.PARKED


def test_a_late_reading_leaves_a_trace_of_what_changed_and_which_readings():
    before = fact([(-0.5, 99.0), (0.5, 100.0), (1, 101.0)])
    after = fact([(-0.5, 99.0), (0, 99.2), (0.5, 100.0), (1, 101.0)])
    assert changed(before, after) == (
        Difference("quantity", "60", "72"),
        Difference("estimated", "yes", "no"),
        Difference("start", "99.5", "99.2"),
        Difference("start readings", "2026-09-30T12:00:00Z 99; 2026-10-01T12:00:00Z 100", "2026-10-01T00:00:00Z 99.2"),
    )
    assert changed(after, after) == ()


def test_the_same_number_in_another_column_is_no_change():
    assert WHOLE.end is not None
    other = replace(WHOLE, quantity=D("40.0000"), end=replace(WHOLE.end, multiplier=D("40.00")))
    assert changed(WHOLE, other) == ()


def test_an_exchange_and_another_ratio_are_told():
    swap = Exchange(day(0.5), D("100.5"), D("3.0"), Counter(D("0.1"), multiplier=D(60)))
    after = fact([(0, 100.0), (1, 5.0)], exchanges=(swap,))
    assert after.quantity == D("0.5") * 40 + D(2) * 60
    told = {one.what: (one.before, one.after) for one in changed(WHOLE, after)}
    assert told["exchanges"] == ("0", "1")
    assert told["end multiplier"] == ("40", "60")


def test_days_join_to_what_the_whole_is_with_its_own_ends():
    values = [(0, 100.0), (0.9, 100.5), (1.1, 101.5), (2, 102.0)]
    whole, days = fact(values, 0, 2), [fact(values, 0, 1), fact(values, 1, 2)]
    assert days[0].estimated
    assert joined(days) == whole
    assert not whole.estimated


def test_what_does_not_meet_or_is_not_known_is_not_joined():
    values = [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]
    days = [fact(values, n, n + 1) for n in range(3)]
    assert joined([days[0], days[2]]) is None
    assert joined([days[0], Fact(None)]) is None
    assert joined([]) is None


def test_a_fact_says_which_readings_could_change_it():
    found = fact([(-0.5, 99.0), (0.5, 100.0), (1, 101.0)])
    assert found.reach == (day(-0.5), day(1))
    assert found.start is not None
    assert found.start.readings[0] == Seen(day(-0.5), D("99.0"))
    assert Fact(None).reach is None


def test_what_is_parked_says_why_in_both_languages_in_its_trace():
    told = {one.what: one.after for one in changed(WHOLE, parked(DoubtError("no reading.", "没有读数。")))}
    assert (told["quantity"], told["doubt"], told["doubt_zh"]) == ("", "no reading.", "没有读数。")
