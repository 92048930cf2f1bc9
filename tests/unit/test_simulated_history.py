"""The history file of the simulated site."""

import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import pytest

from rules.model.period import month_period
from rules.model.site import SiteFile, parse
from simulators.history import HEADER, write_history
from simulators.world import World

SITE_PATH = Path(__file__).parents[2] / "deploy" / "sites" / "riverside.toml"
SITE: SiteFile = parse(tomllib.loads(SITE_PATH.read_text(encoding="utf-8")))
WORLD = World(SITE, seed=11)
UNTIL = datetime(2026, 11, 23, 4, 22, 7, 512000, tzinfo=UTC)
FIRST = datetime(2026, 9, 21, 16, tzinfo=UTC)  # midnight of 22 September at the site

Series = dict[tuple[str, str], list[tuple[datetime, Decimal]]]


def series_of(path: Path) -> Iterator[tuple[tuple[str, str], list[tuple[datetime, Decimal]]]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == HEADER
    rows = (line.split(",") for line in lines[1:])
    for device, group in groupby(rows, key=itemgetter(0)):
        parted: Series = {}
        for _, measure, at, value in group:
            parted.setdefault((device, measure), []).append((datetime.fromisoformat(at), Decimal(value)))
        yield from parted.items()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Series:
    path = tmp_path_factory.mktemp("history") / "riverside.csv"
    steps: list[tuple[int, int]] = []
    started = time.perf_counter()
    rows = write_history(WORLD, SITE, UNTIL, path, progress=lambda done, of: steps.append((done, of)))
    assert time.perf_counter() - started < 5
    assert steps == [(n, 29) for n in range(1, 30)]
    assert [p.name for p in path.parent.iterdir()] == ["riverside.csv"]
    series = dict(series_of(path))
    assert sum(map(len, series.values())) == rows
    return series


def test_every_counter_has_each_quarter_hour_of_62_days_in_order(history: Series):
    counters = {key: rows for key, rows in history.items() if key[0] in WORLD.meters}
    assert {device for device, _ in counters} == set(WORLD.meters)
    quarters = (UNTIL - FIRST) // timedelta(minutes=15) + 1
    for rows in counters.values():
        assert rows[0][0] == FIRST
        assert rows[-1][0] == datetime(2026, 11, 23, 4, 15, tzinfo=UTC)
        assert len(rows) == quarters
        assert {b[0] - a[0] for a, b in pairwise(rows)} == {timedelta(minutes=15)}


def test_values_are_the_exact_decimals_of_the_face(history: Series):
    for (device, measure), rows in history.items():
        if device in WORLD.meters:
            register = WORLD.sheet(device).counter
            assert register is not None
            assert register.measure == measure
            at, value = rows[4711]
            assert value == WORLD.face(device, at) * register.step
            assert all(0 <= v < register.modulus * register.step for _, v in rows)
            assert {v.as_tuple().exponent for _, v in rows} == {register.step.as_tuple().exponent}


def test_last_month_from_two_rows_is_the_true_consumption_also_over_a_rollover(history: Series):
    month = month_period(2026, 10, WORLD.zone)
    turned = 0
    for (device, _), rows in history.items():
        if device in WORLD.meters:
            register = WORLD.sheet(device).counter
            assert register is not None
            span = register.modulus * register.step
            shown = [value for at, value in rows if month.start <= at <= month.end]
            counted = sum((b - a if b >= a else b - a + span for a, b in pairwise(shown)), Decimal(0))
            turned += sum(b < a for a, b in pairwise(shown))
            expected = WORLD.true_consumption(device, month.start, month.end)
            assert counted * WORLD.devices[device].multiplier == expected
            assert dict(rows).keys() >= {month.start, month.end}
    assert turned >= 2


def test_plant_temperatures_come_hourly(history: Series):
    for measure in ("supply_temp", "outdoor_temp"):
        rows = history["AHU-A", measure]
        assert rows[0][0] == FIRST
        assert {b[0] - a[0] for a, b in pairwise(rows)} == {timedelta(hours=1)}
        assert {value.as_tuple().exponent for _, value in rows} == {-1}
