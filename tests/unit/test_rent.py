from datetime import date
from decimal import Decimal

import pytest

from rules.lease.rent import Convention, Days, days_30, monthly_rent, prorate
from rules.model.money import Rounding

D = Decimal

CENT = Rounding()
FEBRUARY = Days(date(2026, 2, 1), date(2026, 3, 1))


@pytest.mark.parametrize(
    ("convention", "amount"),
    [
        (Convention.ACTUAL_ACTUAL, "20357.14"),
        (Convention.THIRTY_360, "21000.00"),
        (Convention.ACTUAL_365, "18739.73"),
        (Convention.ACTUAL_30, "19000.00"),
    ],
)
def test_four_conventions_give_four_answers_for_one_move_in(convention, amount):
    stay = Days(date(2026, 2, 10), date(2027, 2, 10))
    rent = prorate(D(30000), FEBRUARY, stay, convention, CENT)
    assert rent.amount == D(amount)


@pytest.mark.parametrize("convention", Convention)
def test_a_whole_month_costs_the_monthly_rent_and_none_of_it_nothing(convention):
    assert prorate(D(30000), FEBRUARY, Days(date(2020, 1, 1), date(2030, 1, 1)), convention, CENT).amount == 30000
    assert prorate(D(30000), FEBRUARY, Days(date(2026, 3, 1), date(2030, 1, 1)), convention, CENT).amount == 0


def test_a_quarter_in_advance_of_which_only_february_is_occupied():
    quarter, stay = Days(date(2012, 1, 1), date(2012, 4, 1)), Days(date(2012, 2, 1), date(2012, 3, 1))
    assert prorate(D(5000), quarter, stay, Convention.ACTUAL_ACTUAL, CENT, months=3).amount == D("1593.41")


def test_the_last_three_days_of_february_are_counted_out_of_28():
    february = Days(date(2025, 2, 1), date(2025, 3, 1))
    rent = prorate(D(9), february, Days(date(2025, 2, 26), date(2025, 3, 1)), Convention.ACTUAL_ACTUAL, Rounding(5))
    assert (rent.amount, rent.days, rent.of_days) == (D("0.96429"), 3, 28)


@pytest.mark.parametrize(
    ("first", "past", "days"),
    [
        (date(2023, 5, 23), date(2023, 6, 15), 22),
        (date(2023, 2, 23), date(2023, 3, 15), 22),
        (date(2024, 2, 23), date(2024, 3, 15), 22),
        (date(2023, 5, 15), date(2023, 5, 23), 8),
    ],
)
def test_months_of_thirty_days(first, past, days):
    assert days_30(first, past) == days


def test_the_monthly_rent_is_the_sum_of_the_areas_times_the_price():
    assert monthly_rent([D("120.5"), D(80)], D("95.5")) == D("19147.75")
