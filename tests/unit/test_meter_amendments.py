"""What a correction changes day by day, and which faces are plausible to whoever reads them by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from rules.meter.amendment import Amendment, Course, amended, daily, expected
from rules.meter.consumption import Exchange
from rules.meter.series import Counter
from rules.model.doubt import DoubtError
from rules.model.quality import Quality
from rules.model.reading import Reading

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = datetime(2026, 10, 12, 16, tzinfo=UTC)  # midnight of the 13th in Shanghai
HOUR = timedelta(hours=1)
METER = Counter(Decimal("0.1"), Decimal(10_000), Decimal(40))
FIRST = date(2026, 10, 13)


def readings(*faces: float, first: datetime = DAY) -> list[Reading]:
    return [Reading("M.energy", first + n * HOUR, face, Quality.GOOD) for n, face in enumerate(faces)]


def test_amendments_lie_over_readings_and_what_shall_not_stand_is_gone() -> None:
    held = readings(1.0, 2.0, 3.0)
    then = amended(
        held,
        [Amendment(DAY, None, Quality.BAD), Amendment(DAY + HOUR, None, None),
         Amendment(DAY + 5 * HOUR, 9.0, Quality.MANUAL)],
        "M.energy",
    )  # fmt: skip
    assert [(one.at, one.value, one.quality) for one in then] == [
        (DAY, None, Quality.BAD), (DAY + 2 * HOUR, 3.0, Quality.GOOD), (DAY + 5 * HOUR, 9.0, Quality.MANUAL),
    ]  # fmt: skip


def test_a_wrong_reading_taken_out_makes_its_day_certain_and_leaves_the_next_as_it_was() -> None:
    held = readings(*[100.0 + n for n in range(12)], 9_000.0, *[112.0 + n for n in range(1, 30)])
    then = amended(held, [Amendment(DAY + 12 * HOUR, None, Quality.BAD)], "M.energy")
    one, other = daily(Course(held, METER), Course(then, METER), [FIRST, FIRST + timedelta(days=1)], SHANGHAI)
    assert isinstance(one.before, DoubtError)
    assert (one.after, one.differs) == (Decimal("960.0"), True)
    assert isinstance(other.after, DoubtError)  # its end has not been read yet, neither before nor after


def test_a_reading_that_changes_nothing_of_a_day_is_no_effect() -> None:
    held = readings(*[100.0 + n for n in range(26)])
    then = amended(held, [Amendment(DAY + 5 * HOUR, None, Quality.BAD)], "M.energy")
    (day,) = daily(Course(held, METER), Course(then, METER), [FIRST], SHANGHAI)
    assert (day.before, day.after, day.differs) == (Decimal("960.0"), Decimal("960.0"), False)


def test_an_exchange_with_another_ratio_is_reckoned_on_both_meters() -> None:
    held = [
        *readings(*[100.0 + n for n in range(10)]),
        *readings(*[float(n) for n in range(16)], first=DAY + 10 * HOUR),
    ]
    swap = Exchange(DAY + 10 * HOUR, Decimal(110), Decimal(0), Counter(Decimal("0.1"), Decimal(10_000), Decimal(1)))
    (day,) = daily(Course(held, METER), Course(held, METER, (swap,)), [FIRST], SHANGHAI)
    assert isinstance(day.before, DoubtError)
    assert day.after == 10 * 40 + 14


@pytest.mark.parametrize(
    ("face", "plausible"),
    [("100.0", True), ("99.9", False), ("124", True), ("172", True), ("172.1", False), ("9999.9", False)],
)
def test_a_face_is_plausible_from_the_last_reading_to_three_times_its_pace(face: str, plausible: bool) -> None:
    earlier, last = (DAY - timedelta(days=2), Decimal(52)), (DAY, Decimal(100))
    assert expected(earlier, last, DAY + timedelta(days=1), METER).holds(Decimal(face)) is plausible


def test_a_face_that_rolls_over_is_plausible_past_its_top() -> None:
    earlier, last = (DAY - timedelta(days=1), Decimal(9_940)), (DAY, Decimal(9_980))
    likely = expected(earlier, last, DAY + timedelta(days=1), METER)
    assert [likely.holds(Decimal(face)) for face in ("9990", "5", "100", "100.1", "9000")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_without_a_pace_a_thousandth_of_a_turn_a_day_is_plausible() -> None:
    likely = expected(None, (DAY, Decimal(100)), DAY + timedelta(days=3), METER)
    assert (likely.low, likely.high) == (Decimal(100), Decimal("130.0"))


def test_a_person_s_reading_counts_and_a_gateway_cannot_say_that_it_is_one() -> None:
    assert [quality.name for quality in Quality if quality.usable] == ["GOOD", "MANUAL"]
