from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hub.metering.days import RUN_DAYS_MAX, Grain, days_of, months_of, runs_of
from hub.metering.store import cause
from rules.meter.fact import Difference

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_month_begins_and_ends_at_the_midnights_of_its_site():
    period = Grain.MONTH.period(date(2026, 10, 1), BERLIN)
    assert (period.start, period.end) == (datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC))
    assert Grain.MONTH.past(date(2026, 12, 1)) == date(2027, 1, 1)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)])
def test_a_day_has_the_hours_that_it_has(day, hours):
    period = Grain.DAY.period(day, BERLIN)
    assert period.end - period.start == timedelta(hours=hours)


def test_an_hour_may_lie_in_two_days_of_a_zone_with_a_half_hour():
    start = datetime(2026, 6, 1, 18, tzinfo=UTC)  # 23:30 in Kolkata
    assert list(days_of(start, start + timedelta(hours=1), ZoneInfo("Asia/Kolkata"))) == [
        date(2026, 6, 1), date(2026, 6, 2),
    ]  # fmt: skip


def test_days_are_cut_into_runs_of_at_most_a_month():
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(70) if n != 3]
    runs = runs_of(reversed(days))
    assert [len(run) for run in runs] == [3, RUN_DAYS_MAX, RUN_DAYS_MAX, 4]
    assert [day for run in runs for day in run] == days
    assert months_of(days) == [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
    assert runs_of([]) == []


@pytest.mark.parametrize(
    ("differences", "named"),
    [
        ([("quantity", "1", "2"), ("end readings", "a", "b")], "readings"),
        ([("quantity", "1", "2"), ("exchanges", "0", "1"), ("end multiplier", "1", "2")], "exchange"),
        ([("start multiplier", "1", "2"), ("end multiplier", "1", "2")], "ratio"),
        ([("quantity", "1", ""), ("start multiplier", "1", ""), ("end multiplier", "1", "")], "readings"),
        ([("quantity", "1", "2"), ("inputs", "a", "b")], "inputs"),
    ],
)
def test_what_stands_behind_a_change_is_named(differences, named):
    assert cause(tuple(Difference(*one) for one in differences)) == named
