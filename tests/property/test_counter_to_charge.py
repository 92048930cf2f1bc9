"""Invariants of the way from counter to invoice."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from rules.lease.rent import Convention, Days, prorate
from rules.meter.bands import DAY_MIN, Band
from rules.meter.consumption import accumulate, consume
from rules.meter.series import Counter
from rules.meter.tariff import Tariff, price
from rules.model.money import Rounding
from rules.model.period import Period, days_period
from rules.model.quality import Quality
from rules.model.reading import Reading
from rules.money.posting import invoice_posting
from rules.money.tax import separate, tax_by_document, tax_on

D = Decimal

START = datetime(2026, 10, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)
CENT = Rounding()
cents = st.decimals("0", "99999.99", places=2)


@st.composite
def counters(draw):
    """A true total per quarter-hour, and what a face of that meter showed, starting anywhere."""
    counter = Counter(D("0.1"), D("1000.0"), D(draw(st.sampled_from(["1", "20", "0.5"]))))
    steps = draw(st.lists(st.integers(0, 2000), min_size=4, max_size=60))
    face = draw(st.integers(0, 9999))
    truth, held = [0], [Reading("p", START, face / 10, Quality.GOOD)]
    for n, step in enumerate(steps, 1):
        face = (face + step) % 10000
        truth.append(truth[-1] + step)
        held.append(Reading("p", START + n * STEP, face / 10, Quality.GOOD))
    return counter, truth, held


@given(counters(), st.randoms(use_true_random=False))
def test_every_quantity_is_the_true_difference_through_any_rollover_in_any_order(world, random):
    counter, truth, held = world
    random.shuffle(held)
    series = accumulate(held, counter)
    for n in range(1, len(truth)):
        found = consume(series, Period(START, START + n * STEP))
        assert found.quantity == D(truth[n]) / 10 * counter.multiplier
        assert not found.estimated


@given(counters(), st.lists(st.integers(0, 59 * 15 * 60), min_size=2, max_size=6))
def test_pieces_of_a_period_sum_to_the_whole_wherever_it_is_cut(world, seconds):
    counter, truth, held = world
    series = accumulate(held, counter)
    end = (len(truth) - 1) * STEP
    cuts = sorted({START, START + end, *(START + min(timedelta(seconds=s), end) for s in seconds)})
    pieces = [consume(series, Period(a, b)).quantity for a, b in pairwise(cuts)]
    assert sum(pieces, D(0)) == D(truth[-1]) / 10 * counter.multiplier
    assert min(pieces) >= 0


@st.composite
def tariffs(draw):
    """A day cut at random minutes, with bands in turn."""
    cuts = sorted(draw(st.sets(st.integers(0, DAY_MIN - 1), min_size=2, max_size=8)))
    said = [f"{m // 60:02d}:{m % 60:02d}" for m in cuts]
    bands = [draw(st.sampled_from(list(Band))) for _ in cuts]
    windows = [{"from": a, "to": b, "band": c} for a, b, c in zip(said, [*said[1:], said[0]], bands, strict=True)]
    version = {
        "version": "1", "valid_from": "2020-01-01", "schedules": [{"windows": windows}],
        "prices": dict.fromkeys(bands, "0.5"),
    }  # fmt: skip
    names = {"name_zh": "价", "name_en": "price", "unit": "kWh", "currency": "CNY", "tax": "vat"}
    return Tariff.model_validate({**names, "versions": [version]})


@given(
    tariffs(),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.integers(0, 365),
)
def test_the_bands_sum_to_the_metered_quantity_on_every_day_of_the_year(tariff, zone_name, day):
    zone = ZoneInfo(zone_name)
    first = datetime(2026, 1, 1, tzinfo=UTC).date() + timedelta(days=day)
    whole = days_period(first, first + timedelta(days=1), zone)
    held = [
        Reading("p", whole.start + n * timedelta(hours=1), float(n), Quality.GOOD)
        for n in range(int((whole.end - whole.start) / timedelta(hours=1)) + 2)
    ]
    series = accumulate(held, Counter(D("0.001"), D(10**6)))
    priced = price(series, tariff, whole, zone)
    assert priced.quantity == consume(series, whole).quantity
    assert sum(line.amount for line in priced.lines) == priced.quantity / 2


@given(st.lists(cents, min_size=1, max_size=8), st.sampled_from([D(9), D(13), D(5), D(22)]))
def test_tax_by_document_is_the_tax_of_the_sum_and_within_a_cent_a_line(nets, percent):
    taxes = tax_by_document(nets, percent, CENT)
    assert sum(taxes) == tax_on(sum(nets), percent, CENT)
    assert all(abs(tax - tax_on(net, percent, CENT)) <= D("0.01") for net, tax in zip(nets, taxes, strict=True))


@given(cents, st.sampled_from([D(9), D(13), D(5)]))
def test_net_and_tax_sum_to_gross(gross, percent):
    assert sum(separate(gross, percent, CENT)) == gross


@given(st.lists(st.tuples(st.sampled_from(["6051.01", "6051.02"]), cents), min_size=1), cents)
def test_an_invoice_posting_balances(incomes, tax):
    gross = sum((net for _, net in incomes), tax)
    if gross == 0:
        return
    posting = invoice_posting(incomes, tax, "CNY", "1122", "2221.01")
    assert sum(e.debit for e in posting.entries) == sum(e.credit for e in posting.entries) == gross


@given(st.integers(1, 27), cents)
def test_the_parts_of_a_month_cost_the_month(cut, full):
    first = START.date()
    whole, middle = Days(first, first + timedelta(days=31)), first + timedelta(days=cut)
    parts = [
        prorate(full, whole, Days(a, b), Convention.ACTUAL_ACTUAL, Rounding(10)).amount
        for a, b in [(whole.first, middle), (middle, whole.past)]
    ]
    assert abs(sum(parts) - full) < D("0.000000001")
