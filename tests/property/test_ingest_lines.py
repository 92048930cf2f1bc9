"""Whatever order frames arrive in: each is stored once, in order, and "committed" never lies."""

import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from hub.ingest.acts import Address, Birth, Frame, Samples, Speaker
from hub.ingest.line import RIVAL_SILENCE, Line, Seat, seat
from hub.ingest.plan import plan
from hub.ingest.samples import HOUR_US, Heap, micros, moment

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ADDRESS = Address("S", "G")
BIRTH = Birth("D", {}, {})


def line(spool: str = "a", committed: int = 0, seen_at: datetime | None = NOW) -> Line:
    return Line(uuid4(), uuid4(), uuid4(), "S", "G", spool, committed, True, NOW, seen_at, 0, 0, "", None)


def frame(number: int, spool: str = "a") -> Frame:
    return Frame(Speaker(ADDRESS, spool), BIRTH, number, (), "t")


@given(st.lists(st.integers(1, 12), max_size=60), st.integers(1, 8))
def test_frames_are_taken_once_and_in_order_however_they_come(numbers: list[int], batch: int) -> None:
    standing, stored = line(), []
    for start in range(0, len(numbers), batch):
        made = plan([frame(number) for number in numbers[start : start + batch]], {ADDRESS: standing}, NOW)
        stored += [one.number for _, one in made.frames]
        standing = made.lines[ADDRESS]
    assert stored == list(range(1, standing.committed + 1))


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 10))
def test_an_edge_that_goes_back_to_the_committed_number_always_arrives(seed: int, frames: int, window: int) -> None:
    chance, standing = random.Random(seed), line()
    for _ in range(1000):
        if standing.committed == frames:
            break
        sent = range(standing.committed + 1, min(frames, standing.committed + window) + 1)
        arrived = [frame(number) for number in sent if chance.random() > 0.3]
        chance.shuffle(arrived)
        standing = plan(arrived, {ADDRESS: standing}, NOW).lines[ADDRESS]
    assert standing.committed == frames


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1200)), max_size=30))
def test_a_line_changes_hands_only_after_its_owner_was_silent(spoken: list[tuple[str, int]]) -> None:
    standing, now, heard = line(spool="", seen_at=None), NOW, dict[str, datetime]()
    for spool, pause_s in spoken:
        now += timedelta(seconds=pause_s)
        owner = standing.spool
        seated = seat(standing, Speaker(ADDRESS, spool), now)
        standing = seated.line
        if seated.seat is Seat.TAKEN and owner:
            assert now - heard[owner] > RIVAL_SILENCE
        if seated.seat is Seat.REFUSED:
            assert standing.rival_spool == spool
            assert now - heard[owner] <= RIVAL_SILENCE
        else:
            heard[spool] = now


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_committed_number_never_goes_back_for_its_own_spool(committed: int, forgotten: int) -> None:
    seated = seat(line(committed=committed), Speaker(ADDRESS, "a", forgotten), NOW)
    assert seated.line.committed == max(committed, forgotten)
    assert seated.lost == max(0, forgotten - committed)


EPOCH_US = 946_684_800_000_000  # 2000-01-01 since 1970


ROWS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.integers(micros(datetime(2019, 1, 1, tzinfo=UTC)) // 1000, micros(NOW) // 1000).map(lambda ms: ms * 1000),
        st.floats(allow_infinity=False),
        st.sampled_from([0, 64, 192, 500]),
        st.booleans(),
    ),
    max_size=40,
)


@given(ROWS)
def test_columns_keep_the_first_of_each_point_and_moment_and_know_hours_and_weeks(
    rows: list[tuple[int, int, float, int, bool]],
) -> None:
    firsts: dict[tuple[int, int], tuple[int, int, float, int, bool]] = {}
    for row in rows:
        firsts.setdefault(row[:2], row)
    heap = Heap()
    for point, at, value, quality, live in rows:
        heap.add([point], Samples(["x"], [(at + EPOCH_US) // 1000], [value], [quality], [not live]), 0)
    made = heap.sorted()
    assert list(zip(made.point.tolist(), made.at.tolist(), strict=True)) == sorted(firsts)
    assert made.quality.tolist() == [firsts[key][3] for key in sorted(firsts)]
    newest = dict(zip(made.point[made.newest()].tolist(), made.at[made.newest()].tolist(), strict=True))
    assert newest == {point: max(at for p, at in firsts if p == point) for point, _ in firsts}
    points, hours = made.hours()
    whole = {(p, moment(at).replace(minute=0, second=0, microsecond=0)) for p, at in firsts}
    assert list(zip(points.tolist(), map(moment, (hours * HOUR_US).tolist()), strict=True)) == sorted(whole)
    mondays = {moment(at).date() - timedelta(days=moment(at).weekday()) for _, at in firsts}
    assert {week.date() for week in made.weeks()} == mondays
