"""Rollups merge: what spans know together is what the whole knows."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.meter.rollup import HOUR, merge, pieces, roll
from rules.model.period import Period
from rules.model.quality import Quality
from rules.model.reading import Reading

START = datetime(2026, 3, 28, 22, 15, tzinfo=UTC)
DAY = Period(START, START + timedelta(hours=5, minutes=30))


@st.composite
def courses(draw: st.DrawFn) -> list[Reading]:
    steps = draw(st.lists(st.integers(1, 5_000), max_size=25))
    at, found = START - HOUR, []
    for step in steps:
        at += timedelta(seconds=step)
        quality = draw(st.sampled_from(Quality))
        value = None if quality is Quality.BAD else float(draw(st.integers(0, 50)))
        found.append(Reading("P", at, value, quality))
    return found


@given(courses())
def test_pieces_merge_to_what_the_whole_span_says(course: list[Reading]) -> None:
    whole = roll(course, DAY)
    merged = merge([rolled for piece in pieces(DAY) if (rolled := roll(course, piece)) is not None])
    if whole is None or merged is None:
        assert whole is merged
        return
    for name in ("n", "good_n", "sum", "min", "max", "first", "first_at", "last", "last_at", "falls"):
        assert getattr(merged, name) == getattr(whole, name), name


@given(courses())
def test_coverage_is_never_more_than_the_span_and_never_of_bad_readings(course: list[Reading]) -> None:
    rolled = roll(course, DAY)
    if rolled is None:
        return
    assert 0 <= rolled.covered_s <= (DAY.end - DAY.start).total_seconds() + 1e-6
    if not any(reading.quality.usable for reading in course):
        assert (rolled.covered_s, rolled.good_n, rolled.mean) == (0, 0, None)
    if rolled.min is not None and rolled.covered_s:
        values = [r.value for r in course if r.quality.usable and r.value is not None]
        assert rolled.mean is not None
        assert min(values) - 1e-9 <= rolled.mean <= max(values) + 1e-9


@given(courses(), st.integers(1, 4))
def test_merging_some_first_makes_no_difference(course: list[Reading], at: int) -> None:
    parts = [rolled for piece in pieces(DAY) if (rolled := roll(course, piece)) is not None]
    left, right = merge(parts[:at]), merge(parts[at:])
    stepwise = merge([one for one in (left, right) if one is not None])
    whole = merge(parts)
    if whole is None or stepwise is None:
        assert whole is stepwise
        return
    assert (stepwise.n, stepwise.falls, stepwise.first, stepwise.last_at) == (
        whole.n, whole.falls, whole.first, whole.last_at,
    )  # fmt: skip
