from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from edge_agent.change import News
from edge_agent.clock import Clock
from rules.model.point import Kind, Point
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Hands:
    """A wall clock and a monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.wall = START
        self.monotonic_s = 0.0

    def run(self, seconds: float, *, step: timedelta = timedelta(0)) -> None:
        self.monotonic_s += seconds
        self.wall += timedelta(seconds=seconds) + step

    def clock(self, newest: datetime | None = None) -> Clock:
        return Clock(newest, wall=lambda: self.wall, monotonic_s=lambda: self.monotonic_s)


def test_times_are_whole_milliseconds_and_follow_the_wall_clock() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.run(1.23456)
    assert clock.now() == START + timedelta(milliseconds=1234)


def test_a_wall_clock_set_back_never_puts_a_reading_before_another() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.run(5)
    before = clock.now()
    hands.run(1, step=-timedelta(hours=1))
    assert clock.now() == before + 0.9 * SECOND
    hands.run(1)
    assert clock.now() == before + 1.8 * SECOND
    assert clock.take_step() == -timedelta(hours=1)
    assert clock.take_step() == timedelta(0)


def test_an_hour_that_the_clock_was_set_back_is_made_good_in_ten_and_said_once() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.run(1, step=-timedelta(hours=1))
    times = [clock.now()]
    for _ in range(10 * 60):
        hands.run(60)
        times.append(clock.now())
    assert times == sorted(set(times))
    assert abs(clock.now() - hands.wall) <= SECOND
    assert clock.take_step() == -timedelta(hours=1)
    hands.run(3600)
    assert abs(clock.now() - hands.wall) <= SECOND
    assert clock.take_step() == timedelta(0)


def test_a_wall_clock_set_forward_is_followed_at_once() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.run(1, step=timedelta(hours=1))
    assert clock.now() == hands.wall
    assert clock.take_step() == timedelta(hours=1)


def test_a_clock_set_back_and_forward_again_reports_both_steps() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.run(1, step=-timedelta(hours=1))
    clock.now()
    hands.run(1, step=timedelta(hours=1))
    assert hands.wall - SECOND < clock.now() <= hands.wall
    assert clock.take_step() == timedelta(0)


def test_a_restart_behind_the_newest_reading_goes_on_from_it() -> None:
    hands = Hands()
    clock = hands.clock(newest=START + timedelta(hours=1))
    assert clock.now() == START + timedelta(hours=1, milliseconds=1)
    hands.run(2)
    assert clock.now() == START + timedelta(hours=1, seconds=1.8, milliseconds=1)
    assert clock.take_step() == -timedelta(hours=1)


GAUGE = Point("D.t", "D", "t", Kind.GAUGE, "°C", Decimal("0.1"), deadband=0.5)
STATE = Point("D.s", "D", "s", Kind.STATE, "", Decimal(1))
COUNTER = Point("D.c", "D", "c", Kind.COUNTER, "kWh", Decimal("0.1"), Decimal(1000))


def reading(value: float | None, after: timedelta = timedelta(0), quality: Quality = Quality.GOOD) -> Reading:
    return Reading("D.x", START + after, value, quality)


@pytest.mark.parametrize(
    ("point", "last", "new", "goes"),
    [
        (GAUGE, None, reading(20.0), True),
        (GAUGE, reading(20.0), reading(20.4, SECOND), False),
        (GAUGE, reading(20.0), reading(20.5, SECOND), True),
        (GAUGE, reading(20.0), reading(19.5, SECOND), True),
        (GAUGE, reading(20.0), reading(None, SECOND, Quality.BAD), True),
        (GAUGE, reading(None, quality=Quality.BAD), reading(None, SECOND, Quality.BAD), False),
        (GAUGE, reading(20.0), reading(20.0, 60 * SECOND), True),
        (STATE, reading(0.0), reading(0.0, SECOND), False),
        (STATE, reading(0.0), reading(1.0, SECOND), True),
        (COUNTER, reading(5.0), reading(5.0, SECOND), True),
    ],
)
def test_what_changed_goes_out_and_counters_always_do(
    point: Point, last: Reading | None, new: Reading, goes: bool
) -> None:
    news = News([point])
    news.note([last._replace(point=point.code)] if last else [])
    assert bool(news.of([new._replace(point=point.code)])) is goes
