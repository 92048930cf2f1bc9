from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from rules.meter.bands import Band, Schedule, spans
from rules.meter.consumption import accumulate
from rules.meter.series import Counter
from rules.meter.tariff import RoundEach, parse_tariffs, price, price_bands
from rules.model.definition import InvalidDefinitionError
from rules.model.doubt import DoubtError
from rules.model.money import Rounding
from rules.model.period import month_period
from rules.model.quality import Quality
from rules.model.reading import Reading

D = Decimal

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
CENT = Rounding()
TARIFFS = parse_tariffs(yaml.safe_load(Path("rules/definitions/tariffs.yaml").read_text(encoding="utf-8")))
NIGHT_AND_DAY = [
    {"from": "22:00", "to": "06:00", "band": "valley"},
    {"from": "06:00", "to": "08:00", "band": "flat"},
    {"from": "08:00", "to": "12:00", "band": "peak"},
    {"from": "12:00", "to": "18:00", "band": "flat"},
    {"from": "18:00", "to": "22:00", "band": "peak"},
]


def tariff(**versions: object):
    base = {"name_zh": "电价", "name_en": "power", "unit": "kWh", "currency": "CNY", "tax": "vat"}
    return parse_tariffs({"t": {**base, **versions}})["t"]


def series(first: datetime, hours: int, step: str = "0.1"):
    at = [first + timedelta(hours=n) for n in range(hours + 1)]
    held = [Reading("EM.energy", t, float(D(step) * n), Quality.GOOD) for n, t in enumerate(at)]
    return accumulate(held, Counter(D("0.1"), D(100000)))


def test_every_quarter_hour_has_one_band_across_midnight():
    counts = Schedule.model_validate({"windows": NIGHT_AND_DAY}).quarters()
    assert counts == {Band.VALLEY: 32, Band.FLAT: 32, Band.PEAK: 32}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"from": "07:00", "to": "08:00", "band": "flat"}, "no band from 06:00 to 07:00"),
        ({"from": "05:00", "to": "08:00", "band": "flat"}, "both hold from 05:00"),
        ({"from": 1320, "to": "08:00", "band": "flat"}, "1320 is not a time of day; write it in quotes"),
        ({"from": "06:00", "to": "24:01", "band": "flat"}, "'24:01' is not a time of day"),
    ],
)
def test_a_hole_or_an_overlap_in_the_day_is_one_sentence(change, said):
    windows = [NIGHT_AND_DAY[0], change, *NIGHT_AND_DAY[2:]]
    prices = {"valley": "1", "flat": "1", "peak": "1"}
    with pytest.raises(InvalidDefinitionError, match=said):
        tariff(
            versions=[
                {"version": "1", "valid_from": "2026-01-01", "prices": prices, "schedules": [{"windows": windows}]}
            ]
        )


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ([{"version": "1", "valid_from": "2026-01-01", "prices": {"peak": "1"}}], "band flat has no price"),
        ([{"version": "1", "valid_from": "2026-01-01", "prices": {"flat": "-1"}}], "greater than or equal to 0"),
        ([{"version": "1", "valid_from": "2026-01-01", "prices": {}, "prise": 1}], "'prise' is not a known key"),
        (
            [
                {"version": "1", "valid_from": "2026-01-01", "prices": {"flat": "1"}},
                {"version": "2", "valid_from": "2026-02-01", "prices": {"flat": "2"}},
            ],
            "versions '1' and '2' both hold on 2026-02-01",
        ),
        (
            [
                {"version": "1", "valid_from": "2026-01-01", "valid_to": "2026-01-31", "prices": {"flat": "1"}},
                {"version": "1", "valid_from": "2026-02-01", "prices": {"flat": "2"}},
            ],
            "version '1' stands twice",
        ),
        (
            [{"version": "1", "valid_from": "2026-01-01", "prices": {"flat": "1"},
              "schedules": [{"months": [1, 2], "windows": [{"from": "00:00", "to": "24:00", "band": "flat"}]}]}],
            "month 3 has 0 schedules",
        ),
    ],
)  # fmt: skip
def test_a_wrong_version_is_one_sentence(versions, said):
    with pytest.raises(InvalidDefinitionError, match=said):
        tariff(versions=versions)


def test_the_bands_of_a_utility_bill_add_up_to_its_total():
    version = TARIFFS["riverside-electricity-tou"].versions[0]
    used = {Band.SHARP: D(1200), Band.PEAK: D(8600), Band.FLAT: D(9800), Band.VALLEY: D(7400), Band.DEEP_VALLEY: D(500)}
    lines = price_bands(version, used)
    assert [CENT.apply(line.amount) for line in lines] == [
        D("1707.60"), D("9791.96"), D("6563.06"), D("2080.88"), D("105.45"),
    ]  # fmt: skip
    assert sum(line.amount for line in lines) == D("20248.95")


def test_one_month_is_priced_at_the_bands_of_the_wall_clock():
    month = month_period(2026, 10, SHANGHAI)
    priced = price(series(month.start, 31 * 24), TARIFFS["riverside-electricity-tou"], month, SHANGHAI)
    hours = {Band.SHARP: 2, Band.PEAK: 6, Band.FLAT: 8, Band.VALLEY: 6, Band.DEEP_VALLEY: 2}
    assert {line.band: line.quantity for line in priced.lines} == {b: D("0.1") * 31 * h for b, h in hours.items()}
    assert (priced.quantity, priced.estimated) == (D("74.4"), False)
    assert priced.amount(CENT) == D("53.15")


def test_a_price_change_in_the_month_makes_lines_of_both_versions():
    changed = tariff(
        versions=[
            {"version": "a", "valid_from": "2026-01-01", "valid_to": "2026-10-15", "prices": {"flat": "1"}},
            {"version": "b", "valid_from": "2026-10-16", "prices": {"flat": "1.2"}},
        ]
    )
    month = month_period(2026, 10, SHANGHAI)
    priced = price(series(month.start, 31 * 24), changed, month, SHANGHAI)
    assert [(line.version, line.quantity) for line in priced.lines] == [("a", D("36.0")), ("b", D("38.4"))]
    assert priced.amount(CENT) == D("82.08")


def test_one_price_all_month_needs_the_readings_of_its_ends_only():
    month = month_period(2026, 10, SHANGHAI)
    ends = [Reading("EM.energy", at, value, Quality.GOOD) for at, value in ((month.start, 10.0), (month.end, 84.4))]
    held = accumulate(ends, Counter(D("0.1"), D(100000)), longest_gap=timedelta(days=2))
    priced = price(held, TARIFFS["riverside-electricity-flat"], month, SHANGHAI)
    assert (priced.quantity, priced.estimated) == (D("74.4"), False)
    with pytest.raises(DoubtError, match="too long to estimate between"):
        price(held, TARIFFS["riverside-electricity-tou"], month, SHANGHAI)


def test_a_day_without_a_version_is_a_doubt():
    ended = tariff(
        versions=[{"version": "a", "valid_from": "2026-01-01", "valid_to": "2026-10-15", "prices": {"flat": "1"}}]
    )
    month = month_period(2026, 10, SHANGHAI)
    with pytest.raises(DoubtError, match="no version for 2026-10-16"):
        price(series(month.start, 31 * 24), ended, month, SHANGHAI)


@pytest.mark.parametrize(("day", "night_h"), [(date(2026, 3, 29), 7), (date(2026, 10, 25), 9), (date(2026, 6, 1), 8)])
def test_a_day_of_23_or_25_hours_shortens_or_lengthens_the_night(day, night_h):
    found = spans(Schedule.model_validate({"windows": NIGHT_AND_DAY}), day, BERLIN)
    hours = sum((period.end - period.start).total_seconds() / 3600 for period, band in found if band is Band.VALLEY)
    assert hours == night_h
    assert all(one[0].end == other[0].start for one, other in pairwise(found))


@pytest.mark.parametrize(("day", "half_h"), [(date(2026, 3, 29), 0), (date(2026, 10, 25), 1.0)])
def test_a_window_inside_the_hour_that_shifts_follows_the_wall_clock(day, half_h):
    windows = [{"from": "02:30", "to": "03:00", "band": "sharp"}, {"from": "03:00", "to": "02:30", "band": "flat"}]
    found = spans(Schedule.model_validate({"windows": windows}), day, BERLIN)
    sharp = sum((period.end - period.start).total_seconds() / 3600 for period, band in found if band is Band.SHARP)
    assert sharp == half_h


def test_rounding_falls_per_charge_or_per_band_as_the_contract_says():
    version = tariff(
        versions=[{"version": "1", "valid_from": "2026-01-01", "prices": {"peak": "0.005", "valley": "0.005"},
                   "schedules": [{"windows": [{"from": "08:00", "to": "22:00", "band": "peak"},
                                              {"from": "22:00", "to": "08:00", "band": "valley"}]}]}]
    )  # fmt: skip
    first = datetime(2026, 10, 1, tzinfo=UTC)
    month = month_period(2026, 10, ZoneInfo("UTC"))
    priced = price(series(first, 744), version, month, ZoneInfo("UTC"))
    assert [line.amount for line in priced.lines] == [D("0.2170"), D("0.1550")]
    assert priced.amount(CENT) == D("0.37")
    assert priced.amount(CENT, RoundEach.BAND) == D("0.38")
