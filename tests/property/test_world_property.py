"""The simulated world adds up, whenever one looks."""

import itertools
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.model.site import Commodity, SiteFile, parse
from simulators.world import UnfitSiteError, World
from simulators.worldtime import EPOCH, OutsideWorldError, instant

SITE_PATH = Path(__file__).parents[2] / "deploy" / "sites" / "riverside.toml"
SITE: SiteFile = parse(tomllib.loads(SITE_PATH.read_text(encoding="utf-8")))
WORLD = World(SITE, seed=7)
END = datetime(2028, 1, 1, tzinfo=UTC)

instants = st.integers(0, (END - EPOCH) // timedelta(milliseconds=1)).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
meters = st.sampled_from(WORLD.meters)
mains = st.sampled_from([m for m in WORLD.meters if WORLD.children(m)])


@given(meter=mains, at=instants)
@settings(deadline=None, max_examples=300)
def test_a_meter_counts_its_children_its_loss_and_what_it_feeds_itself(meter: str, at: datetime):
    below = sum(WORLD.truth(child, at) for child in WORLD.children(meter))
    assert WORLD.truth(meter, at) == below + WORLD.loss(meter, at) + WORLD.own(meter, at)


@given(at=instants, later=instants)
@settings(deadline=None, max_examples=100)
def test_bills_of_the_children_never_exceed_the_main_and_losses_are_one_to_two_percent(at, later):
    start, end = sorted((at, later))
    for meter in ("EM-A-MAIN", "EM-B-MAIN", "EM-A-F1", "WM-A-MAIN"):
        whole = WORLD.true_consumption(meter, start, end)
        parts = sum((WORLD.true_consumption(c, start, end) for c in WORLD.children(meter)), Decimal(0))
        assert parts <= whole
        lost, reached = WORLD.loss(meter, END), sum(WORLD.truth(c, END) for c in WORLD.children(meter))
        assert 0.0099 <= lost / reached <= 0.0201


@given(meter=meters, at=instants, gap_ms=st.integers(0, 10_000_000))
@settings(deadline=None, max_examples=300)
def test_a_counter_never_goes_back_and_its_face_is_the_counter_without_the_turns(meter, at, gap_ms):
    later = at + timedelta(milliseconds=gap_ms)
    register = WORLD.sheet(meter).counter
    assert register is not None
    assert WORLD.count(meter, later) >= WORLD.count(meter, at)
    assert WORLD.face(meter, at) == WORLD.count(meter, at) % register.modulus


@given(meter=meters, at=instants)
@settings(deadline=None, max_examples=25)
def test_the_same_seed_gives_the_same_numbers_in_any_order_of_questions(meter: str, at: datetime):
    fresh = World(SITE, seed=7)
    assert fresh.count(meter, at) == WORLD.count(meter, at)
    assert fresh.values(meter, at) == WORLD.values(meter, at)


@given(meter=meters, quarter=st.integers(0, 140_000), length=st.integers(1, 50))
@settings(deadline=None, max_examples=100)
def test_a_run_of_quarter_hours_equals_single_questions(meter: str, quarter: int, length: int):
    run = WORLD.counts(meter, quarter, quarter + length)
    assert len(run) == length
    assert run[0] == WORLD.count(meter, instant(quarter))
    assert run[-1] == WORLD.count(meter, instant(quarter + length - 1))


@given(meter=meters, quarter=st.integers(0, 140_000))
@settings(deadline=None, max_examples=100)
def test_power_is_the_slope_of_the_counter(meter: str, quarter: int):
    start, end = instant(quarter), instant(quarter + 1)
    device = WORLD.devices[meter]
    shown = WORLD.values(meter, start + timedelta(minutes=7))
    slope = float(WORLD.true_consumption(meter, start, end) / device.multiplier) * 4
    level = shown["flow"] if device.commodity is Commodity.WATER else shown["power"]
    step_kw = float(WORLD.sheet(meter).counter.step) * 4
    assert level == pytest.approx(slope, rel=0.006, abs=2 * step_kw)


@given(at=instants)
@settings(deadline=None, max_examples=100)
def test_the_supply_air_stays_at_its_set_point_and_the_weather_is_of_this_earth(at: datetime):
    shown = WORLD.values("AHU-A", at)
    assert abs(shown["supply_temp"] - 18.0) <= 0.3
    assert -15 < shown["outdoor_temp"] < 45


def test_another_seed_is_another_world():
    at = datetime(2026, 5, 4, 3, tzinfo=UTC)
    other = World(SITE, seed=8)
    assert all(other.count(m, at) != WORLD.count(m, at) for m in WORLD.meters)


def test_the_old_restaurant_meter_rolls_over_about_every_two_weeks():
    start = datetime(2026, 9, 30, 16, tzinfo=UTC)
    days = [WORLD.face("EM-A-103", start + timedelta(days=d)) for d in range(32)]
    turns = sum(after < before for before, after in itertools.pairwise(days))
    assert turns in (2, 3)
    assert 18_000 < WORLD.true_consumption("EM-A-103", start, start + timedelta(days=31)) < 23_000


def test_nights_and_weekends_are_quieter_than_working_hours():
    tuesday_10 = datetime(2026, 11, 17, 2, 7, tzinfo=UTC)  # 10:07 at the site
    busy = WORLD.values("EM-A-201", tuesday_10)["power"]
    assert WORLD.values("EM-A-201", tuesday_10 - timedelta(hours=8))["power"] < busy / 4
    assert WORLD.values("EM-A-201", tuesday_10 + timedelta(days=4))["power"] < busy / 2


def test_a_moment_before_the_world_began_is_refused_in_a_sentence():
    with pytest.raises(OutsideWorldError, match="the simulated world has no 2020-"):
        WORLD.count("EM-A-MAIN", datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("device", "change", "sentence"),
    [
        ("EM-A-MAIN", {"parent": "EM-A-101"}, "run in a circle"),
        ("EM-A-101", {"profile": "xy-9"}, "no simulator has a data sheet"),
        ("EM-A-101", {"multiplier": "0.25"}, "whole multiple"),
        ("WM-A-101", {"parent": "EM-A-F1"}, "does not count electricity as its parent"),
    ],
)
def test_a_site_that_cannot_be_acted_is_refused_in_a_sentence(device: str, change: dict, sentence: str):
    data = SITE.model_dump(mode="json")
    next(d for d in data["device"] if d["code"] == device).update(change)
    with pytest.raises(UnfitSiteError, match=sentence):
        World(parse(data), seed=7)


def test_the_park_is_as_large_as_promised():
    assert len(SITE.building) == 2
    assert sum(len(b.floors) for b in SITE.building) == 6
    assert (len(SITE.unit), len(SITE.tenant), len(SITE.lease), len(WORLD.meters)) == (24, 8, 8, 28)
    served = {unit for device in SITE.device for unit in device.serves}
    assert served == {unit for lease in SITE.lease for unit in lease.units}
