"""What the judge may leave out: whatever is called quiet changes no machine."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hub.alarms.attention import Attention, calm
from hub.ingest.samples import micros
from rules.detect.alarm import Phase, State
from rules.detect.rule import Deviation, Limit, Mask, Priority, Rule, Stale, Window
from rules.detect.rule import State as Equals
from rules.detect.watch import Said, follow
from rules.model.quality import Quality

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
DEVICE = UUID(int=1)
MEASURES = ("a", "b", "c")
POINTS = {measure: number for number, measure in enumerate(MEASURES, 7)}
REST = State(Phase.NORMAL, NOW - timedelta(hours=1))

values = st.one_of(st.floats(-5, 5), st.sampled_from([0.0, 1.0, 1.5, 2.0, float("nan"), float("inf")]))
bounds = st.one_of(st.none(), st.floats(-4, 4))
measures = st.sampled_from(MEASURES)
masks = st.one_of(st.none(), st.builds(Mask, measure=measures, equals=st.integers(0, 2)))
windows = st.one_of(
    st.none(), st.just(Window(start=time(23), end=time(5))), st.just(Window(start=time(8), end=time(22)))
)
limits = st.tuples(measures, bounds, bounds, st.floats(0, 2), windows, masks).filter(
    lambda said: said[1:3] != (None, None)
)
conditions: st.SearchStrategy[Any] = st.one_of(
    limits.map(
        lambda s: Limit(kind="limit", measure=s[0], above=s[1], below=s[2], deadband=s[3], window=s[4], only_while=s[5])
    ),
    st.builds(Equals, kind=st.just("state"), measure=measures, equals=st.integers(-1, 2)),
    st.builds(Deviation, kind=st.just("deviation"), measure=measures, setpoint=measures, above=st.floats(1, 3)),
    st.builds(Stale, kind=st.just("stale"), after_s=st.integers(1, 600)),
)


def rule(number: int, condition: Any) -> Rule:
    words = dict.fromkeys(("name_zh", "name_en", "cause_zh", "cause_en", "advice_zh", "advice_en"), "x")
    return Rule(
        code=f"r{number}", version=1, valid_from=date(2020, 1, 1), priority=Priority.LOW, condition=condition, **words
    )


@given(
    st.lists(conditions, max_size=5),
    st.lists(st.tuples(measures, values, st.sampled_from([0, 64, 192])), min_size=1, max_size=6),
    st.integers(0, 900),
    st.dictionaries(measures, values, min_size=3, max_size=3),
)
def test_what_is_quiet_changes_nothing(
    asked: list[Any], said: list[tuple[str, float, int]], heard_before_s: int, shown: dict[str, float]
) -> None:
    rules = [rule(number, condition) for number, condition in enumerate(asked)]
    attention = Attention()
    attention.note(DEVICE, calm(rules, NOW - timedelta(seconds=heard_before_s)))
    attention.settle({DEVICE: POINTS}, (NOW, micros(NOW)))
    points, numbers, qualities = (np.array(column) for column in zip(*said, strict=True))
    loud = attention.loud(
        np.array([POINTS[measure] for measure in points.tolist()]),
        np.full(len(said), micros(NOW)),
        numbers.astype(np.float64),
        qualities.astype(np.int16),
        (NOW, micros(NOW)),
    )
    shortest = min((r.condition.after_s for r in rules if isinstance(r.condition, Stale)), default=None)
    if shortest is not None and heard_before_s >= shortest:
        assert loud.all()  # its silence may have been judged meanwhile
    if loud.any():
        return  # the whole device goes to the judge
    trusted = [
        Said(measure, NOW, value if quality == Quality.GOOD and np.isfinite(value) else None)
        for measure, value, quality in said
    ]
    new = {one.measure for one in trusted}
    rest = {measure: value for measure, value in shown.items() if measure not in new}
    for one in rules:
        assert follow(one, REST, rest, trusted, ZONE).state == REST


def test_what_is_not_known_is_loud_and_forgetting_makes_everything_so() -> None:
    attention, at = Attention(), (NOW, micros(NOW))
    asked = (np.array([7]), np.array([at[1]]), np.array([1.0]), np.array([192], np.int16), at)
    assert attention.loud(*asked).all()
    attention.note(DEVICE, calm([], NOW))
    attention.settle({DEVICE: POINTS}, at)
    assert not attention.loud(*asked).any()
    assert attention.loud(*asked[:4], (NOW + timedelta(minutes=3), micros(NOW + timedelta(minutes=3)))).all()
    attention.forget()
    assert attention.loud(*asked).all()


def test_a_device_that_was_never_heard_goes_to_the_judge_and_breaks_nothing() -> None:
    attention, at = Attention(), (NOW, micros(NOW))
    attention.note(DEVICE, calm([], None))
    attention.settle({DEVICE: POINTS}, at)
    assert attention.loud(np.array([7]), np.array([at[1]]), np.array([1.0]), np.array([192], np.int16), at).all()
