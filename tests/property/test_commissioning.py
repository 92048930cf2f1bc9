"""A meter's face against the platform: agreement is seen, and the usual mistakes are named."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.meter.commission import Movement, Pace, Suspect, Verdict, compare, movement

STEP = Decimal("0.01")
FACES = st.decimals(Decimal(100), Decimal(999_999), places=2)
HOUR = timedelta(hours=1)


@given(FACES, st.integers(-1, 1))
def test_a_face_one_step_away_agrees(face: Decimal, steps: int) -> None:
    assert compare(face, face + steps * STEP, STEP, Decimal(1)) == Verdict(agrees=True, difference=steps * STEP)


@given(FACES, st.sampled_from([-3, -2, -1, 1, 2, 3]))
def test_a_wrong_decimal_point_is_named(face: Decimal, places: int) -> None:
    found = compare(face, face.scaleb(places), STEP, Decimal(1))
    assert (found.agrees, found.suspect) == (False, Suspect.DECIMALS)


@given(FACES, st.sampled_from([Decimal(40), Decimal(80), Decimal(120)]), st.booleans())
def test_a_ratio_counted_twice_or_not_at_all_is_named(face: Decimal, multiplier: Decimal, once_more: bool) -> None:
    shown = face * multiplier if once_more else face / multiplier
    assert compare(face, shown, STEP, multiplier).suspect is Suspect.MULTIPLIER


def test_another_meter_is_named_when_nothing_simple_explains_the_difference() -> None:
    assert compare(Decimal("4711.25"), Decimal("802.10"), STEP, Decimal(40)).suspect is Suspect.OTHER_METER
    assert compare(Decimal("4711.25"), Decimal(0), STEP, Decimal(1)).suspect is Suspect.OTHER_METER


def test_what_the_meter_counted_between_two_looks_is_no_difference() -> None:
    assert not compare(Decimal(100), Decimal("100.5"), STEP, Decimal(1)).agrees
    assert compare(Decimal(100), Decimal("100.5"), STEP, Decimal(1), later=Decimal("0.5")).agrees


@given(FACES, st.decimals(Decimal(1), Decimal(500), places=1), st.decimals(Decimal("-0.09"), Decimal("0.09"), places=3))
def test_a_counter_that_counts_what_the_power_means_is_right(face: Decimal, power: Decimal, away: Decimal) -> None:
    found = movement(face, face + power * (1 + away), STEP, power, HOUR)
    assert found.pace is Pace.RIGHT


@pytest.mark.parametrize(
    ("last", "power", "pace"),
    [
        ("99.0", "10", Pace.BACKWARDS),
        ("100.0", "10", Pace.STANDS),
        ("110.0", "-10", Pace.REVERSED),
        ("100.05", "0.05", Pace.UNKNOWN),
        ("20100.0", "20", Pace.WRONG),
        ("120.0", None, Pace.UNKNOWN),
    ],
)
def test_each_way_to_be_wrong_has_a_name(last: str, power: str | None, pace: Pace) -> None:
    found = movement(Decimal(100), Decimal(last), STEP, None if power is None else Decimal(power), HOUR)
    assert isinstance(found, Movement)
    assert found.pace is pace
