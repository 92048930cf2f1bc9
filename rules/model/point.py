"""A point: one measured or commanded quantity of one device."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What the numbers of a point mean."""

    COUNTER = "counter"  # only ever counts up, until it rolls over or the meter is exchanged
    GAUGE = "gauge"  # a level that goes both ways: temperature, power
    STATE = "state"  # a small whole number: off/on, closed/open


@dataclass(frozen=True, slots=True)
class Point:
    """One point as the gateway knows it.

    ``code`` is ``<device>.<measure>`` and unique within an organisation.  ``resolution`` is the
    smallest step of the value in ``unit``; ``modulus`` is where a counter rolls over, in ``unit``
    (None for gauges and states).
    """

    code: str
    device: str
    measure: str
    kind: Kind
    unit: str
    resolution: Decimal
    modulus: Decimal | None = None
    deadband: float = 0.0
