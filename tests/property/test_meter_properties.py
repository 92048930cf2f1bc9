"""Invariants of consumption, virtual meters, balances, demand and degree days."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from rules.meter.balance import Finding, balance, share_bill
from rules.meter.consumption import accumulate, consume
from rules.meter.degree_days import Method, Sense, degree_day
from rules.meter.demand import QUARTER, coincident, demand, peak
from rules.meter.fact import Fact, changed, fact_of, joined
from rules.meter.series import Counter, Exchange
from rules.meter.virtual import combine
from rules.model.doubt import DoubtError
from rules.model.money import Rounding
from rules.model.period import Period, midnight
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.model.virtual import Missing, Term

D = Decimal
START = datetime(2026, 10, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
amounts = st.decimals("0", "99999.9", places=1)


@st.composite
def walks(draw, modulus=10_000):
    """Readings at odd moments of a counter that only grows, some of them bad, with exchanges on the way."""
    counter = Counter(D("0.1"), D(modulus) / 10, D(draw(st.sampled_from(["1", "40", "0.5"]))))
    first, face, at = counter, draw(st.integers(0, modulus - 1)), START
    held = [Reading("p", at, face / 10, Quality.GOOD)]
    exchanges = []
    for step, pause, turn in draw(
        st.lists(st.tuples(st.integers(0, 2000), st.integers(60, 7200), st.integers(0, 9)), min_size=3, max_size=40)
    ):
        at += timedelta(seconds=pause)
        face = (face + step) % modulus
        if turn == 0:
            counter = replace(counter, multiplier=D(draw(st.sampled_from(["1", "60"]))))
            exchanges.append(Exchange(at, D(face) / 10, D(0), counter))
            face, at = 0, at + timedelta(seconds=pause)
            held.append(Reading("p", at, 0.0, Quality.GOOD))
            continue
        quality = Quality.UNCERTAIN if turn == 1 else Quality.GOOD
        held.append(Reading("p", at, 999_999.0 if turn == 1 else face / 10, quality))
    at += timedelta(seconds=60)
    held.append(Reading("p", at, face / 10, Quality.GOOD))
    return first, held, exchanges, Period(START, at)


def series_of(walk):
    counter, held, exchanges, _ = walk
    try:
        return accumulate(held, counter, exchanges)
    except DoubtError:  # two steps over a bad reading may look like a turn: parking is right
        return None


@given(walks(), st.lists(st.floats(0, 1), max_size=6))
def test_adjoining_periods_add_up_through_rollovers_exchanges_and_bad_readings(walk, cuts):
    series, whole = series_of(walk), walk[3]
    if series is None:
        return
    length = whole.end - whole.start
    moments = sorted({whole.start, whole.end, *(whole.start + length * cut for cut in cuts)})
    facts = [fact_of(consume(series, Period(a, b))) for a, b in pairwise(moments)]
    assert joined(facts) == fact_of(consume(series, whole))
    assert all(fact.quantity >= 0 for fact in facts)


@given(walks(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(walk, random):
    counter, held, exchanges, whole = walk
    series = series_of(walk)
    mixed = list(held)
    random.shuffle(mixed)
    random.shuffle(exchanges)
    again = series_of((counter, mixed, exchanges, whole))
    assert (series is None) == (again is None)
    if series and again:
        assert not changed(fact_of(consume(series, whole)), fact_of(consume(again, whole)))


@given(walks(), st.sampled_from([D(2), D(10), D("0.5")]))
def test_a_ratio_scales_what_was_consumed(walk, factor):
    counter, held, exchanges, whole = walk
    series = series_of(walk)
    scaled = [replace(e, counter=replace(e.counter, multiplier=e.counter.multiplier * factor)) for e in exchanges]
    other = series_of((replace(counter, multiplier=counter.multiplier * factor), held, scaled, whole))
    if series and other:
        assert consume(other, whole).quantity == consume(series, whole).quantity * factor


@given(walks(), st.integers(1, 50))
def test_a_rating_parks_or_leaves_out_and_never_adds(walk, rating):
    counter, held, _, whole = walk
    try:
        series = accumulate(held, replace(counter, hourly_max=D(rating)))
    except DoubtError:
        return
    hours = D(str((whole.end - whole.start).total_seconds())) / 3600
    most = rating * hours + len(series.marks) * counter.resolution * counter.multiplier
    assert all(0 <= mark.total <= most for mark in series.marks)


@given(st.lists(st.tuples(amounts, st.sampled_from(["1", "-1", "0.3"])), min_size=1, max_size=8), st.data())
def test_a_virtual_meter_is_linear_and_misses_what_is_missing(terms, data):
    said = [Term(meter=f"M{n}", factor=D(factor)) for n, (_, factor) in enumerate(terms)]
    known = {f"M{n}": Fact(quantity) for n, (quantity, _) in enumerate(terms)}
    whole = combine(said, known)
    assert whole.quantity == sum(D(factor) * quantity for quantity, factor in terms)
    gone = data.draw(st.sampled_from(sorted(known)))
    assert combine(said, {**known, gone: None}).quantity is None
    spared = [term.model_copy(update={"missing": Missing.LEAVE_OUT}) for term in said]
    left = combine(spared, {**known, gone: None})
    assert left.quantity is None if len(said) == 1 else left.estimated


@given(amounts, st.lists(amounts, min_size=1, max_size=8), st.integers(0, 7))
def test_main_is_subs_and_loss_and_nothing_missing_is_balanced(main, subs, gone):
    named = {f"S{n}": sub for n, sub in enumerate(subs)}
    found = balance(("M", main), named)
    assert found.subs + found.loss == main
    assert (found.finding is Finding.NEGATIVE_LOSS) == (sum(subs) > main)
    assert balance(("M", main), {**named, f"S{gone}": None}).finding is Finding.INCOMPLETE


@given(st.decimals("0.01", "99999.99", places=2), st.lists(amounts, min_size=1, max_size=8).filter(any))
def test_what_was_paid_is_shared_to_the_cent(bill, subs):
    assert sum(share_bill(bill, subs, Rounding())) == bill


@given(st.lists(st.integers(0, 500), min_size=8, max_size=40), st.sets(st.integers(1, 30), max_size=10))
def test_a_certain_maximum_is_not_exceeded_by_what_the_gaps_hid(steps, gone):
    faces = [sum(steps[:n]) for n in range(len(steps) + 1)]
    counter, whole = Counter(D("0.1")), Period(START, START + len(steps) * QUARTER)
    every = [Reading("p", START + n * QUARTER, face / 10, Quality.GOOD) for n, face in enumerate(faces)]
    torn = [one for n, one in enumerate(every) if n not in gone or n == len(steps)]
    truth = peak(demand(accumulate(every, counter), whole, ZONE))
    found = peak(demand(accumulate(torn, counter), whole, ZONE))
    assert truth.certain
    if found is not None:
        assert found.power <= truth.power
        if found.certain:
            assert found.power == truth.power


@given(st.lists(st.integers(0, 500), min_size=4, max_size=20), st.lists(st.integers(0, 500), min_size=4, max_size=20))
def test_coincident_demand_never_exceeds_the_sum_of_the_maxima(one, other):
    n = min(len(one), len(other))
    cut = []
    for steps in (one[:n], other[:n]):
        held = [Reading("p", START + k * QUARTER, sum(steps[:k]) / 10, Quality.GOOD) for k in range(n + 1)]
        cut.append(demand(accumulate(held, Counter(D("0.1"))), Period(START, START + n * QUARTER), ZONE))
    together = peak(coincident({"A": cut[0], "B": cut[1]}))
    assert max(peak(c).power for c in cut) <= together.power <= sum(peak(c).power for c in cut)


@given(st.lists(st.integers(-30, 45), min_size=24, max_size=24), st.integers(10, 25), st.sampled_from(list(Sense)))
def test_degree_days_are_never_below_zero_and_hours_count_at_least_as_much_as_the_mean(temps, base, sense):
    start = midnight(date(2026, 1, 10), ZONE)
    hourly = {start + timedelta(hours=n): D(t) for n, t in enumerate(temps)}
    by = {m: degree_day(hourly, date(2026, 1, 10), ZONE, D(base), sense, m).value for m in Method}
    assert min(by.values()) >= 0
    assert by[Method.HOURS] >= by[Method.MEAN]
