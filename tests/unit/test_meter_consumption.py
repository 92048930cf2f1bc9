from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from rules.meter.consumption import accumulate, consume
from rules.meter.series import Counter, Exchange, Method
from rules.model.doubt import DoubtError
from rules.model.period import Period
from rules.model.quality import Quality
from rules.model.reading import Reading

D = Decimal

START = datetime(2026, 10, 1, tzinfo=UTC)
FACE = Counter(D("0.1"), D("10000.0"))


def hours(n: float) -> datetime:
    return START + timedelta(hours=n)


def readings(*values: float | None, first: float = 0, quality: Quality = Quality.GOOD) -> list[Reading]:
    return [
        Reading("EM-1.energy", hours(first + n), v, quality if v is not None else Quality.BAD)
        for n, v in enumerate(values)
    ]


def used(values: list[Reading], until: float, counter: Counter = FACE, exchanges: tuple[Exchange, ...] = ()):
    return consume(accumulate(values, counter, exchanges), Period(START, hours(until)))


def test_the_readings_at_the_boundaries_are_the_evidence():
    found = used(readings(100.1, 100.4, 101.0), 2)
    assert (found.quantity, found.estimated, found.rollovers) == (D("0.9"), False, 0)
    assert (found.start.value, found.start.at) == (D("100.1"), START)
    assert (found.end.value, found.end.at) == (D("101.0"), hours(2))


def test_a_counter_that_rolls_over_keeps_counting():
    counter = Counter(D(1), D(100000), D(40))
    found = used(readings(99870, 130), 1, counter)
    assert (found.quantity, found.rollovers) == (D(10400), 1)


def test_a_fall_that_is_no_plausible_rollover_asks_for_an_exchange_record():
    with pytest.raises(DoubtError, match=r"fell from 500.0 to 499.0 .* record a meter exchange"):
        used(readings(500.0, 499.0), 1)
    with pytest.raises(DoubtError, match="no plausible rollover"):
        used(readings(500.0, 499.0), 1, Counter(D("0.1")))


@pytest.mark.parametrize("zeros", [(0.0,), (0.0, 0.0, 0.0)])
def test_a_zero_that_comes_and_goes_is_rejected_with_the_reason(zeros):
    found = used(readings(9987.0, *zeros, 9988.0), len(zeros) + 1)
    assert found.quantity == D("1.0")
    assert [r.at for r in found.rejected] == [hours(n + 1) for n in range(len(zeros))]
    assert "zero between 9987.0 and 9988.0" in found.rejected[0].reason


def test_a_counter_that_really_passes_zero_is_not_a_dropout():
    assert used(readings(9999.9, 0.0, 0.2), 2).quantity == D("0.3")


def test_a_dip_that_looks_like_a_rollover_is_in_doubt():
    with pytest.raises(DoubtError, match=r"jumped from 13.0 to 9990.0"):
        used(readings(9987.0, 13.0, 9990.0), 2)


def test_a_value_that_cannot_stand_on_the_face_is_rejected():
    found = used(readings(1.0, 10000.0, -3.0, 2.0), 3)
    assert found.quantity == D("1.0")
    assert [r.value for r in found.rejected] == [10000.0, -3.0]


def test_a_boundary_between_two_readings_is_interpolated_and_marked():
    found = used(readings(100.0, 101.0, 101.3, first=-0.5), 1)
    assert (found.start.value, found.end.value) == (D("100.5"), D("101.2"))
    assert found.estimated
    assert [mark.face for mark in found.end.basis] == [D("101.0"), D("101.3")]


def test_a_counter_that_stood_still_is_known_without_a_reading_at_the_boundary():
    found = used(readings(100.0, 100.0, first=-0.5) + readings(103.0, first=1), 1)
    assert (found.quantity, found.estimated) == (D("3.0"), False)


@pytest.mark.parametrize(
    ("first", "word"), [(0.5, "at or before 2026-10-01 00:00"), (-1, "at or after 2026-10-01 02:00")]
)
def test_a_missing_end_is_a_doubt_and_never_zero(first, word):
    with pytest.raises(DoubtError, match=f"no usable reading {word}"):
        used(readings(1.0, 2.0, 3.0, first=first), 2)


def test_unusable_readings_do_not_count_and_none_at_all_is_a_doubt():
    bad = readings(555.0, first=1, quality=Quality.UNCERTAIN)
    assert used(readings(1.0, None, 2.0) + bad, 2).quantity == D("1.0")
    with pytest.raises(DoubtError, match="no usable reading"):
        accumulate(bad, FACE)


def test_a_gap_too_long_to_estimate_is_a_doubt():
    series = accumulate(readings(1.0, 2.0, first=-0.5), FACE, longest_gap=timedelta(minutes=30))
    with pytest.raises(DoubtError, match="too long to estimate"):
        series.boundary(START)


def test_a_moment_between_two_polls_counts_as_read_when_they_lie_close_enough():
    held = readings(1.0, 2.0, first=-0.5)
    assert not accumulate(held, FACE, settled_within=timedelta(hours=1)).boundary(START).estimated
    assert accumulate(held, FACE, settled_within=timedelta(minutes=59)).boundary(START).estimated


def test_an_exchange_adds_the_segments_each_with_its_own_ratio():
    old, new = Counter(D(1), D(100000), D(40)), Counter(D(1), D(100000), D(60))
    swap = Exchange(hours(1), D(8990), D(3), new)
    held = readings(8450, first=0) + readings(212, first=2)
    found = used(held, 2, old, (swap,))
    assert (found.quantity, found.exchanges) == (D(34140), 1)
    series = accumulate(held, old, (swap,))
    assert consume(series, Period(START, hours(1))).end.value == 8990
    assert consume(series, Period(hours(1), hours(2))).start.value == 3


def test_two_values_at_one_moment_are_a_doubt():
    with pytest.raises(DoubtError, match="two values"):
        accumulate(readings(1.0) + readings(2.0), FACE)


def test_a_reading_at_the_exchange_that_is_not_the_new_first_value_is_a_doubt():
    swap = Exchange(hours(1), D(8990), D(3), FACE)
    with pytest.raises(DoubtError, match="when the new meter began with 3"):
        used(readings(8989.0, 4.0, 5.0), 2, exchanges=(swap,))
    assert used(readings(8989.0, 3.0, 5.0), 2, exchanges=(swap,)).quantity == D(3)


@pytest.mark.parametrize("spike", [600.0, 4999.0, 5400.0, 5600.0, 9500.0, 9999.9])
def test_a_lone_wrong_value_never_makes_a_whole_turn_of_the_counter(spike):
    with pytest.raises(DoubtError, match=r"fell from|jumped from"):
        used(readings(500.0, spike, 501.0), 2)


RATED = Counter(D("0.1"), D("10000.0"), D(40), hourly_max=D(800))  # 20 units of the face in an hour


def test_a_value_that_the_meter_could_not_have_reached_is_left_out_when_it_goes_away():
    found = used(readings(500.0, 700.0, 701.0, 502.0), 3, RATED)
    assert found.quantity == D(80)
    assert [r.value for r in found.rejected] == [700.0, 701.0]
    assert "more than the meter is rated for" in found.rejected[0].reason


def test_a_jump_beyond_the_rating_that_stays_is_in_doubt_however_long_it_stays():
    with pytest.raises(DoubtError, match=r"went from 500.0 to 700.0 .* faster than the 800 an hour"):
        used(readings(500.0, 700.0, 701.0), 2, RATED)
    with pytest.raises(DoubtError, match="faster than"):
        used(readings(500.0, *[700.0 + n for n in range(20)]), 2, RATED)


def test_a_last_value_beyond_the_rating_waits_for_the_next_one():
    series = accumulate(readings(500.0, 501.0, 900.0), RATED)
    assert consume(series, Period(START, hours(1))).quantity == D(40)
    assert "nothing after it" in series.rejected[0].reason
    with pytest.raises(DoubtError, match="at or after"):
        series.boundary(hours(2))


def test_what_the_rating_allows_is_allowed_and_one_step_of_the_face_always_is():
    assert used(readings(500.0, 520.0), 1, RATED).quantity == D(800)
    lazy = Counter(D(1), hourly_max=D("0.001"))
    assert used(readings(5, 6), 1, lazy).quantity == D(1)


def test_a_rollover_has_to_fit_the_rating_too():
    assert used(readings(9990.0, 5.0), 1, RATED).quantity == D(600)
    with pytest.raises(DoubtError, match="no plausible rollover"):
        used(readings(9990.0, 50.0), 1, RATED)


def test_a_zero_shown_while_the_meter_is_taken_off_is_a_dropout():
    swap = Exchange(hours(2), D("502.0"), D(3), FACE)
    found = used([*readings(500.0, 0.0), *readings(4.0, first=3)], 3, exchanges=(swap,))
    assert (found.quantity, len(found.rejected)) == (D("3.0"), 1)


@pytest.mark.parametrize("digits", [3, 5, 8, 12])
def test_a_rollover_counts_at_any_width(digits):
    top = 10**digits
    found = used(readings(float(top - 3), 4.0), 1, Counter(D(1), D(top)))
    assert (found.quantity, found.rollovers) == (D(7), 1)


def test_a_boundary_says_how_it_is_known():
    series = accumulate(readings(1.0, 2.0, 2.0), FACE)
    assert series.boundary(hours(1)).method is Method.READ
    assert series.boundary(hours(0.5)).method is Method.LINEAR
    assert series.boundary(hours(1.5)).method is Method.BETWEEN
