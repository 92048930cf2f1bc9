from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from rules.meter.degree_days import Method, Sense, degree_day, total
from rules.model.period import midnight

D = Decimal
BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 1, 10)
BASE = D("15.5")


def hourly(*temps, day=DAY, gone=()):
    start = midnight(day, BERLIN)
    return {start + timedelta(hours=n): D(str(temp)) for n, temp in enumerate(temps) if n not in gone}


def value(temps, method=Method.MEAN, sense=Sense.HEATING, base=BASE):
    return degree_day(hourly(*temps), DAY, BERLIN, base, sense, method).value


def test_a_cold_day_is_as_cold_by_its_mean_as_by_its_hours():
    temps = [0, 10] * 12
    assert value(temps) == D("10.5")
    assert value(temps, Method.HOURS) == D("10.5")
    assert value(temps, Method.MID_RANGE) == D("10.5")
    assert value(temps, Method.MET_OFFICE) == D("10.5")


def test_a_day_around_the_base_differs_by_method():
    temps = [10] * 18 + [20] * 6
    assert value(temps) == D("3.0")  # 15.5 − 12.5
    assert value(temps, Method.HOURS) == D("4.125")  # 5.5 × 18 / 24
    assert value(temps, Method.MID_RANGE) == D("0.5")  # 15.5 − 15
    assert value(temps, Method.MET_OFFICE) == D("1.625")  # 5.5 / 2 − 4.5 / 4


def test_the_four_cases_of_the_met_office():
    assert value([20] * 12 + [12] * 12, Method.MET_OFFICE) == D("0.875")  # 3.5 / 4
    assert value([16] * 24, Method.MET_OFFICE) == 0


def test_cooling_is_heating_with_the_sign_turned():
    temps = [20, 30] * 12
    assert value(temps, sense=Sense.COOLING, base=D(22)) == D(3)
    assert value(temps, Method.HOURS, Sense.COOLING, D(22)) == D(4)
    assert value(temps, Method.MET_OFFICE, Sense.COOLING, D(22)) == D("3.5")
    assert value(temps) == 0


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_day_has_the_hours_that_it_has(day, hours):
    found = degree_day(hourly(*[5] * hours, day=day), day, BERLIN, BASE)
    assert (found.value, found.hours, found.known, found.estimated) == (D("10.5"), hours, hours, False)


def test_a_few_missing_hours_are_marked_and_many_leave_nothing():
    found = degree_day(hourly(*[5] * 24, gone=(0, 1, 2)), DAY, BERLIN, BASE)
    assert (found.value, found.estimated) == (D("10.5"), True)
    assert degree_day(hourly(*[5] * 24, gone=(0, 1, 2, 3)), DAY, BERLIN, BASE).value is None
    assert degree_day({}, DAY, BERLIN, BASE, hours_missing_max=24).value is None


def test_a_missing_day_is_not_a_mild_one():
    known, missing = degree_day(hourly(*[5] * 24), DAY, BERLIN, BASE), degree_day({}, DAY, BERLIN, BASE)
    assert total([known, known]) == D(21)
    assert total([known, missing]) is None
