"""What a span of time knows of a point: for how long readings speak, and where days are cut."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from rules.meter.rollup import HOUR, Rollup, bounds, days_of, merge, pieces, roll, roll_day
from rules.model.period import Period
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 11, 2, 4, tzinfo=UTC)
SPAN = Period(START, START + HOUR)


def read(minute: float, value: float | None = 1.0, quality: Quality = Quality.GOOD) -> Reading:
    return Reading("P", START + timedelta(minutes=minute), value, quality)


def covered(*minutes: float) -> float:
    rolled = roll([read(minute) for minute in minutes], SPAN)
    assert rolled is not None
    return rolled.covered_s


def test_the_worked_examples_of_the_docstring_hold() -> None:
    assert covered(-15, 0, 15, 30, 45) == 3_600
    assert covered(-15, 0, 15, 45) == 3_150
    assert covered(*(n / 6 for n in range(90))) == 980
    assert covered(30) == 90
    assert covered(0, 10, 50) == 600 + 900 + 600  # usual spacing 10 min: the one at ten past speaks for a quarter


def test_a_span_without_a_reading_has_no_rollup_and_one_without_a_good_one_no_value() -> None:
    assert roll([read(-10), read(60)], SPAN) is None
    bad = roll([read(5, None, Quality.BAD), read(6, 99.0, Quality.UNCERTAIN)], SPAN)
    assert bad == Rollup(2)
    assert bad.mean is None
    assert merge([]) is None
    assert merge([bad, bad]) == Rollup(4)


def test_a_bad_reading_ends_what_the_one_before_says() -> None:
    rolled = roll([read(0, 4.0), read(1, None, Quality.BAD), read(2, 8.0)], SPAN)
    assert rolled is not None
    assert (rolled.n, rolled.good_n, rolled.covered_s, rolled.integral) == (3, 2, 60 + 90, 4 * 60 + 8 * 90)


def test_a_mean_is_of_time_and_not_of_readings() -> None:
    rolled = roll([read(-1, 10.0), *(read(n, 10.0) for n in range(30)), *(read(n, 20.0) for n in range(30, 60))], SPAN)
    assert rolled is not None
    assert rolled.mean == 15
    busy = roll([*(read(n / 60, 10.0) for n in range(60)), *(read(n, 20.0) for n in range(1, 60))], SPAN)
    assert busy is not None
    assert busy.mean == (10 * 60 + 20 * 59 * 60) / 3600


def test_falls_are_seen_within_spans_and_between_them() -> None:
    before = roll([read(0, 5.0), read(1, 3.0), read(2, 9.0)], SPAN)
    after = roll([read(61, 4.0), read(62, 4.0)], Period(SPAN.end, SPAN.end + HOUR))
    none = roll([read(121, None, Quality.BAD)], Period(SPAN.end + HOUR, SPAN.end + 2 * HOUR))
    last = roll([read(181, 1.0)], Period(SPAN.end + 2 * HOUR, SPAN.end + 3 * HOUR))
    assert before is not None
    assert after is not None
    assert none is not None
    assert last is not None
    whole = merge([before, after, none, last])
    assert whole is not None
    assert (before.falls, after.falls, whole.falls) == (1, 0, 3)
    assert (whole.first, whole.last, whole.n, whole.good_n) == (5.0, 1.0, 7, 6)


def test_days_are_cut_at_the_sites_midnight_and_at_the_hours() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")
    cut = pieces(bounds(date(2026, 11, 2), kathmandu))
    assert len(cut) == 25
    assert (cut[0].end - cut[0].start, cut[-1].end - cut[-1].start) == (timedelta(minutes=45), timedelta(minutes=15))
    assert len(pieces(bounds(date(2026, 3, 29), ZoneInfo("Europe/Berlin")))) == 23
    assert len(pieces(bounds(date(2026, 10, 25), ZoneInfo("Europe/Berlin")))) == 25
    lord_howe = bounds(date(2026, 10, 4), ZoneInfo("Australia/Lord_Howe"))
    assert lord_howe.end - lord_howe.start == timedelta(hours=23, minutes=30)
    assert roll_day([], date(2026, 11, 2), kathmandu) is None


def test_an_hour_touches_the_days_that_it_lies_in_and_reaches_into() -> None:
    shanghai, kathmandu = ZoneInfo("Asia/Shanghai"), ZoneInfo("Asia/Kathmandu")
    evening = datetime(2026, 11, 1, 15, tzinfo=UTC)  # 23:00 in Shanghai
    assert days_of(evening, shanghai) == [date(2026, 11, 1), date(2026, 11, 2)]
    assert days_of(evening - HOUR, shanghai) == [date(2026, 11, 1)]
    assert days_of(datetime(2026, 11, 1, 17, tzinfo=UTC), kathmandu) == [date(2026, 11, 1), date(2026, 11, 2)]
