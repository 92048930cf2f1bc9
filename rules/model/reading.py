"""A reading: what one point said at one moment."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from rules.model.quality import Quality


class Reading(NamedTuple):
    """One reading, identified by (point, at).  A tuple: a gateway makes ten thousand of them a second.

    ``at`` is aware UTC.  ``value`` is None exactly when there is none to show (quality BAD):
    missing is never zero.  ``raw`` holds the registers as read and ``error`` the reason for a bad
    quality; both are for the engineer at the device and do not travel.
    """

    point: str
    at: datetime
    value: float | None
    quality: Quality
    raw: tuple[int, ...] = ()
    error: str = ""


def exact(value: float, resolution: Decimal) -> Decimal:
    """Give the decimal number that a meter face showed when ``value`` was stored as a double.

    The nearest double of a decimal with at most 15 significant digits prints back as that decimal
    (IEEE 754-2019, 5.12.2), so rounding to the point's ``resolution`` restores every digit.
    """
    return Decimal(repr(value)).quantize(resolution)
