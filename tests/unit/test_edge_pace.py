"""The present goes ahead of what has waited, and that at a pace."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from edge_agent.frame import Frame
from edge_agent.pace import BURST_S, IN_FLIGHT_S, PICTURE_COSTS, Pace, cost
from edge_agent.preview import PREVIEWS_MAX, Previews
from edge_agent.roster import Member
from rules.model.event import BadgeEvent
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 3, 1, tzinfo=UTC)


def frame(count: int, number: int = 0, second: int = 0) -> Frame:
    at = START + timedelta(seconds=second)
    return Frame("D", tuple(Reading(f"D.m{n}", at, 1.0, Quality.GOOD) for n in range(count)), number=number)


def sent_in(pace: Pace, seconds: float, each: Frame) -> int:
    sent, now_s = 0, 100.0
    while now_s < 100.0 + seconds:
        while pace.take(each, now_s):
            sent += cost(each)
            pace.landed(each.number)
        now_s += max(0.001, min(pace.due_in_s(now_s), 0.05))
    return sent


def test_what_has_waited_goes_out_at_its_rate_after_its_jitter() -> None:
    pace = Pace(10_000)
    pace.begin(100.0, 2.0)
    assert not pace.take(frame(1), 101.9)
    assert 1.9 < pace.due_in_s(100.05) < 2.0
    sent = sent_in(pace, 12.0, frame(500))
    assert abs(sent - 100_000) <= 10_000 * BURST_S + 500


def test_however_slow_the_pace_is_set_it_is_twice_what_is_read() -> None:
    pace = Pace(100)
    for second in range(60):
        pace.note_live(1_000, 40.0 + second)
    pace.begin(100.0, 0.0)
    assert abs(sent_in(pace, 10.0, frame(500)) - 20_000) <= 2_000


def test_no_more_than_a_part_of_a_second_is_on_its_way() -> None:
    pace = Pace(2_000 / IN_FLIGHT_S)
    pace.begin(100.0, 0.0)
    out = [n for n in range(1, 100) if pace.take(frame(500, n), 100.0 + n)]
    assert out == [1, 2, 3, 4]
    pace.landed(2)
    assert [n for n in range(100, 200) if pace.take(frame(500, n), 100.0 + n)] == [100, 101]
    pace.landed(None)
    assert pace.take(frame(500, 200), 400.0)


def test_an_empty_frame_and_a_picture_have_their_price_too() -> None:
    assert cost(Frame("", (), number=7)) == 1
    assert cost(Frame("D", (), event=BadgeEvent(UUID(int=1), "D", START, "granted"))) == PICTURE_COSTS


def test_only_what_is_not_out_yet_goes_ahead_and_without_a_number() -> None:
    previews = Previews()
    previews.add([frame(1, 9), frame(1, 10), frame(2, 11), Frame("D", (), number=12), frame(3)])
    assert [(f.number, len(f.readings)) for f in previews.take(10, unkept_only=False)] == [(0, 2), (0, 3)]
    assert previews.take(10, unkept_only=False) == []
    previews.add([frame(2, 11), frame(3)])
    assert [len(f.readings) for f in previews.take(10, unkept_only=True)] == [3]


def test_a_new_connection_begins_with_the_last_reading_of_every_point_that_answers() -> None:
    alive, dead = Member("A", 1, {}, {}), Member("B", 2, {}, {}, alive=False)
    for member in (alive, dead):
        member.latest.update({f"m{n}": r for n, r in enumerate(frame(600).readings)})
    previews = Previews()
    previews.begin({"D": alive, "E": dead}, 70)
    assert [(f.device, len(f.readings)) for f in previews.take(0, unkept_only=False)] == [("D", 500), ("D", 100)]


def test_previews_that_nobody_takes_do_not_pile_up() -> None:
    previews = Previews()
    for second in range(3 * PREVIEWS_MAX):
        previews.add([frame(1, second + 1, second)])
    kept = previews.take(0, unkept_only=False)
    assert len(kept) == PREVIEWS_MAX
    assert kept[-1].readings[0].at == START + timedelta(seconds=3 * PREVIEWS_MAX - 1)
