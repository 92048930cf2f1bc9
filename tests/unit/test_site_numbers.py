"""Numbers of a site file that the register could not keep as they are written are refused, not rounded."""

import tomllib

import pytest

from rules.model.site import InvalidSiteError, parse
from tests.builders import RIVERSIDE


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("area_m2 = 120", "area_m2 = 120.005"),
        ("multiplier = 10", "multiplier = -10"),
        ("multiplier = 10", "multiplier = 0"),
        ("multiplier = 10", 'multiplier = "0.00001"'),
        ('rent_per_m2_month = "180.00"', 'rent_per_m2_month = "180.00001"'),
        ('rent_per_m2_month = "180.00"', 'rent_per_m2_month = "-1"'),
    ],
)
def test_a_number_that_would_be_rounded_or_is_below_zero_is_refused(written: str, instead: str) -> None:
    text = RIVERSIDE.read_text("utf-8")
    assert written in text
    with pytest.raises(InvalidSiteError):
        parse(tomllib.loads(text.replace(written, instead, 1)))
