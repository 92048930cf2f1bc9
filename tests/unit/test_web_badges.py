"""The form of badge events asks about the shift that is going on."""

from datetime import datetime
from zoneinfo import ZoneInfo

from web.console.badges import shift

SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_by_day_a_guard_asks_about_today() -> None:
    assert shift(datetime(2026, 11, 29, 14, tzinfo=SHANGHAI)) == ("2026-11-29", "2026-11-29")


def test_after_midnight_the_evening_before_is_asked_about_too() -> None:
    assert shift(datetime(2026, 11, 30, 0, 20, tzinfo=SHANGHAI)) == ("2026-11-29", "2026-11-30")
