"""What a spool gives up when it may not keep everything, and that nobody waits for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from edge_agent.frame import Frame
from edge_agent.retention import Retention
from edge_agent.spool import Spool, SpoolFullError
from rules.model.event import BadgeEvent, Still
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 3, 1, tzinfo=UTC)
LOOSE = frozenset({f"D.g{n}" for n in range(50)})
COUNTERS = 10


def frame(second: int) -> Frame:
    at = START + timedelta(seconds=second)
    codes = [f"D.c{n}" for n in range(COUNTERS)] + [f"D.g{n}" for n in range(50)]
    return Frame("D", tuple(Reading(code, at, second + 0.5, Quality.GOOD) for code in codes))


def counters_of(frames: list[Frame]) -> int:
    return sum(reading.point.startswith("D.c") for one in frames for reading in one.readings)


def everything(spool: Spool) -> list[Frame]:
    found: list[Frame] = []
    while found_now := spool.pending(found[-1].number if found else spool.committed, 1000):
        found += found_now
    return found


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Spool]:
    def open_spool(**policy: object) -> Spool:
        spool = Spool(tmp_path / "spool.sqlite", max_mb=1, wall=lambda: moment[0])
        spool.follow(Retention(**{"max_mb": 1, "loose": LOOSE, **policy}))  # type: ignore[arg-type]
        request.addfinalizer(spool.close)
        return spool

    moment = [START]
    open_spool.moment = moment  # type: ignore[attr-defined]
    return open_spool


def test_a_full_spool_gives_up_its_oldest_gauges_and_keeps_every_counter(
    opened: Callable[..., Spool], caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened()
    for second in range(1_000):
        spool.append([frame(second)])
    kept = everything(spool)
    assert [one.number for one in kept] == list(range(1, 1_001))
    assert counters_of(kept) == 1_000 * COUNTERS
    gauges = [len(one.readings) - COUNTERS for one in kept]
    assert gauges == sorted(gauges)  # the oldest went, frame by frame
    assert gauges[0] == 0
    assert gauges[-1] == 50
    assert spool.dropped == 50 * gauges.count(0)
    assert spool.refused == 0
    assert [r.value for r in kept[-1].readings] == [999.5] * 60
    said = [record.message for record in caplog.records if "had to drop" in record.message]
    assert len(said) == 1


def test_what_was_dropped_is_remembered_and_its_numbers_still_travel(opened: Callable[..., Spool]) -> None:
    spool = opened()
    at = START
    for second in range(3_000):
        at = START + timedelta(seconds=second)
        spool.append([Frame("D", tuple(Reading(f"D.g{n}", at, 1.25, Quality.GOOD) for n in range(20)))])
    dropped = spool.dropped
    assert dropped > 0
    spool.close()
    again = opened()
    assert again.dropped == dropped
    first = again.pending(0, 10)
    assert [(one.number, one.device, one.readings) for one in first] == [(n, "", ()) for n in range(1, 11)]
    assert [one.number for one in everything(again)] == list(range(1, 3_001))
    again.commit(3_000)
    assert again.depth() == 0


def test_when_only_counters_are_left_the_policy_decides(opened: Callable[..., Spool]) -> None:
    def counted(second: int) -> Frame:
        at = START + timedelta(seconds=second)
        return Frame("D", tuple(Reading(f"D.c{n}", at, 1.25, Quality.GOOD) for n in range(200)))

    def fill() -> None:
        for second in range(1_000):
            spool.append([counted(second)])

    spool = opened()
    with pytest.raises(SpoolFullError, match="spool_max_mb of 1 MB"):
        fill()
    kept = spool.last_number
    assert counters_of(everything(spool)) == 200 * kept
    assert spool.dropped == 200  # the one frame that was refused
    spool.follow(Retention(1, when_full="drop_oldest"))
    for second in range(1_000, 1_100):
        spool.append([counted(second)])
    left = everything(spool)
    assert [one.number for one in left] == list(range(1, kept + 101))
    assert left[0].readings == ()
    assert left[-1].readings == counted(1_099).readings
    assert spool.dropped == 200 + 200 * sum(not one.readings for one in left)


def test_gauges_that_waited_longer_than_the_policy_allows_go_and_counters_stay(opened: Callable[..., Spool]) -> None:
    now = [0.0]
    spool = opened(max_days=2)
    spool._monotonic_s = lambda: now[0]
    spool.append([frame(0)])
    opened.moment[0] = START + timedelta(days=1)  # type: ignore[attr-defined]
    spool.append([frame(1)])
    opened.moment[0] = START + timedelta(days=2, seconds=1)  # type: ignore[attr-defined]
    now[0] = 1e6
    spool.append([frame(2)])
    assert [len(one.readings) for one in everything(spool)] == [COUNTERS, 60, 60]
    assert spool.dropped == 50


def test_a_spool_says_once_that_it_is_at_four_fifths(
    opened: Callable[..., Spool], caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened()
    seen = set()
    for second in range(3_000):
        spool.append([frame(second)])
        seen.add(spool.percent)
        if spool.percent > 95:
            break
    assert {10, 50, 79, 80, 95} < seen
    assert sum("% full; when it is full" in record.message for record in caplog.records) == 1
    spool.commit(spool.last_number)
    assert spool.percent < 10


def test_events_come_back_and_pictures_go_before_badges(opened: Callable[..., Spool]) -> None:
    spool = opened()
    badge = BadgeEvent(UUID(int=1), "DOOR", START, "granted", "4711")
    spool.append([Frame("DOOR", (), event=badge)])
    stills = [Still(UUID(int=2 + n), "CAM", START, "motion", bytes([n]) * 100_000) for n in range(15)]
    for still in stills:
        spool.append([Frame("CAM", (), event=still)])
    kept = everything(spool)
    assert [one.number for one in kept] == list(range(1, 17))
    assert kept[0].event == badge
    assert kept[1].event is None
    assert kept[-1].event == stills[-1]
    assert spool.dropped == sum(one.event is None for one in kept)
