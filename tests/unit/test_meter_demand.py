from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from rules.meter.consumption import accumulate
from rules.meter.demand import QUARTER, Block, blocks, coincident, demand, peak
from rules.meter.series import Counter, Exchange
from rules.model.period import Period, days_period
from rules.model.quality import Quality
from rules.model.reading import Reading

D = Decimal
ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 9, 30, 16, tzinfo=UTC)  # midnight in Shanghai
HOUR = timedelta(hours=1)
FACE = Counter(D("0.1"))


def series(*values, step=QUARTER, exchanges=(), gone=()):
    held = [
        Reading("EM-1.energy", START + n * step, value, Quality.GOOD) for n, value in enumerate(values) if n not in gone
    ]
    return accumulate(held, FACE, exchanges)


def hour(of, **asked):
    return demand(of, Period(START, START + HOUR), ZONE, **asked)


def test_the_highest_quarter_of_an_hour_with_its_time():
    found = hour(series(0.0, 25.0, 55.0, 83.0, 112.5))
    assert [block.power for block in found] == [D(100), D(120), D(112), D(118)]
    top = peak(found)
    assert (top.power, top.start, top.certain, top.unknown) == (D(120), START + QUARTER, True, 0)
    assert not top.estimated


def test_ends_between_two_readings_are_marked():
    shifted = accumulate(
        [Reading("p", START + timedelta(minutes=7) + n * QUARTER, 10.0 * n, Quality.GOOD) for n in range(-1, 6)], FACE
    )
    # exactly as many as blocks: the reading below zero is off the face and left out
    found = demand(shifted, Period(START + QUARTER, START + HOUR), ZONE)
    assert [(block.power, block.estimated) for block in found] == [(D(40), True)] * 3


def test_a_block_in_a_gap_has_no_demand_but_a_bound_and_the_maximum_says_whether_it_is_certain():
    quiet = hour(series(0.0, 25.0, 26.0, 27.0, 28.0, gone=(2,)))
    assert [block.power for block in quiet] == [D(100), None, None, D(4)]
    assert [block.most for block in quiet] == [None, D(8), D(8), None]
    assert peak(quiet).certain
    loud = hour(series(0.0, 25.0, 0.0, 80.0, 81.0, gone=(2,)))
    assert (peak(loud).power, peak(loud).certain, peak(loud).unknown) == (D(100), False, 2)


def test_without_any_known_block_there_is_no_maximum():
    found = hour(series(0.0, 81.0, step=HOUR))
    assert peak(found) is None
    assert [block.most for block in found] == [D(324)] * 4
    assert hour(series(5.0, 6.0, step=QUARTER))[3] == Block(START + 3 * QUARTER, START + HOUR, None, None)


def test_a_counter_that_stood_still_through_a_gap_is_known_to_have_used_nothing():
    assert [block.power for block in hour(series(5.0, 5.0, step=HOUR))] == [0, 0, 0, 0]


def test_an_exchange_inside_a_block_counts_both_meters():
    swap = Exchange(START + timedelta(minutes=5), D("10.0"), D("0.0"), Counter(D("0.1"), multiplier=D(2)))
    found = hour(series(0.0, 5.0, 5.0, 5.0, 5.0, exchanges=(swap,)))
    assert found[0].energy == D(20)


def test_sliding_blocks_find_a_peak_that_lies_across_fixed_ones():
    used = [0.0, 0.0, 10.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0]  # every 5 minutes
    of = series(*used, step=timedelta(minutes=5))
    assert peak(hour(of)).power == D(80)
    of = series(0.0, 0.0, 0.0, 10.0, 20.0, *[20.0] * 8, step=timedelta(minutes=5))
    slid = demand(of, Period(START, START + HOUR), ZONE, every=timedelta(minutes=5))
    assert (peak(hour(of)).power, peak(slid).power) == (D(40), D(80))
    assert slid[-1].end == START + HOUR


def test_the_demand_of_several_meters_is_that_of_the_same_moment():
    one, other = hour(series(0.0, 25.0, 26.0, 27.0, 28.0)), hour(series(0.0, 1.0, 31.0, 32.0, 33.0))
    assert (peak(one).power, peak(other).power) == (D(100), D(120))
    top = peak(coincident({"A": one, "B": other}))
    assert (top.power, top.start) == (D(124), START + QUARTER)


def test_what_one_of_them_lacks_the_sum_lacks_too():
    whole, torn = hour(series(0.0, 25.0, 26.0, 27.0, 28.0)), hour(series(0.0, 25.0, 0.0, 27.0, 28.0, gone=(2,)))
    found = coincident({"A": whole, "B": torn})
    assert [block.power for block in found] == [D(200), None, None, D(8)]
    assert [block.most for block in found] == [None, D(12), D(12), None]
    with pytest.raises(ValueError, match="cut alike"):
        coincident({"A": whole[:1], "B": torn[1:2]})


@pytest.mark.parametrize(("day", "quarters"), [((2026, 3, 29), 92), ((2026, 10, 25), 100), ((2026, 6, 1), 96)])
def test_days_of_23_and_25_hours_have_their_own_number_of_blocks(day, quarters):
    zone = ZoneInfo("Europe/Berlin")
    period = days_period(date(*day), date(*day) + timedelta(days=1), zone)
    assert len(blocks(period, zone)) == quarters


def test_blocks_begin_at_the_midnight_of_a_zone_with_a_half_hour():
    zone = ZoneInfo("Asia/Kolkata")
    period = days_period(date(2026, 6, 1), date(2026, 6, 2), zone)
    found = blocks(period, zone, HOUR)
    assert (found[0].start.minute, len(found)) == (30, 24)


def test_too_many_blocks_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        blocks(Period(START, START + timedelta(days=400)), ZONE, QUARTER, timedelta(minutes=1))
