"""However many readings: a chart keeps the least and the greatest, shows only what was read, and breaks at gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.readings.chart import EMPTY, of_readings, of_rollups
from hub.readings.rows import RawColumns, RolledColumns

VALUES = st.lists(
    st.one_of(st.none(), st.floats(-1e9, 1e9, allow_nan=False), st.integers(-3, 3).map(float)), min_size=1, max_size=400
)
START_S = 1_780_000_000.0


def raw(values: list[float | None], step_s: float = 60.0) -> RawColumns:
    return RawColumns([START_S + n * step_s for n in range(len(values))], values)


@given(VALUES, st.integers(1, 50))
def test_a_thinned_line_keeps_extremes_and_invents_nothing(values: list[float | None], most: int) -> None:
    line = of_readings(raw(values), most)
    read = [value for value in values if value is not None]
    drawn = [value for value in line.value if value is not None]
    assert set(drawn) <= set(read)
    assert (min(drawn, default=None), max(drawn, default=None)) == (min(read, default=None), max(read, default=None))
    assert list(line.at) == sorted(line.at)
    assert len(line.at) == len(line.value) == len(line.min) == len(line.max)
    assert len(line.at) <= 2 * most + 12 + 6 * max(1, most // 4)


@given(VALUES)
def test_where_there_is_room_every_reading_is_drawn_and_every_missing_one_breaks_the_line(
    values: list[float | None],
) -> None:
    line = of_readings(raw(values), 4 * len(values) + 4)
    assert [value for value in line.value if value is not None] == [value for value in values if value is not None]
    inner = "".join("." if value is None else "x" for value in values).strip(".")
    assert line.value.count(None) == len([run for run in inner.split("x") if run])


@given(st.integers(1, 60), st.lists(st.integers(0, 2_000), min_size=1, max_size=300, unique=True))
def test_merged_hours_keep_extremes(most: int, hours: list[int]) -> None:
    at = sorted(hours)
    n = np.array(at, float)
    found = RolledColumns(
        [START_S + hour * 3600.0 for hour in at], [2] * len(at), (2 * n).tolist(), [0.0] * len(at),
        [0.0] * len(at), (n - 5).tolist(), (n + 5).tolist(), n.tolist(),
    )  # fmt: skip
    line = of_rollups(found, most, 3600.0, counter=False)
    assert min(v for v in line.min if v is not None) == at[0] - 5
    assert max(v for v in line.max if v is not None) == at[-1] + 5


@pytest.mark.parametrize(
    ("steps", "gaps"), [([60] * 9, 0), ([60] * 5 + [900] + [60] * 5, 1), ([1] * 8 + [60] * 8, 0), ([60], 0)]
)
def test_a_step_much_longer_than_those_around_it_is_a_gap(steps: list[int], gaps: int) -> None:
    at = np.concatenate(([0.0], np.cumsum(steps))) + START_S
    line = of_readings(RawColumns(at.tolist(), [1.0] * len(at)), 1_000)
    assert line.value.count(None) == gaps


def test_nothing_gives_nothing() -> None:
    assert of_readings(RawColumns(None, None), 10) == EMPTY
    assert of_rollups(RolledColumns(*[None] * 8), 10, 3600.0, counter=True) == EMPTY
    assert of_readings(raw([None, None]), 10).at == ()


def test_days_of_23_and_25_hours_stay_apart_and_their_mean_is_that_of_time() -> None:
    lengths = [24, 24, 23, 24, 24, 25, 24]
    at = [START_S + 3_600.0 * sum(lengths[:n]) for n in range(len(lengths))]
    many = [1.0] * len(at)
    found = RolledColumns(
        at, [10] * len(at), [990.0] * len(at), [3_600.0] * len(at), [7_200.0] * len(at), many, many, many
    )
    line = of_rollups(found, 100, 86_400.0, counter=False)
    assert (len(line.at), line.value) == (7, (2.0,) * 7)
    folded = of_rollups(found, 4, 86_400.0, counter=False)
    assert [int((one.timestamp() - START_S) / 3_600) for one in folded.at] == [0, 47 + 1, 95, 144]
