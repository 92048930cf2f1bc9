"""Whether the platform shows what the meter's face shows, and what is wrong where it does not: pure.

An engineer stands before the meter and reads its face while the gateway reads its registers.  One pair proves scale,
word order and ratio; a second pair some minutes later proves that the counter counts, forwards, and as fast as the
power says.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

PACE_TOLERANCE = Decimal("0.10")  # of energy against power × time: power moves between two looks
PACE_STEPS_MIN = 20  # a counter that moved fewer steps says too little about its pace
POWERS_OF_TEN = tuple(Decimal(10) ** n for n in range(-6, 7) if n)
RATIO_NEAR = Decimal("0.002")  # how near a ratio has to be to count as that ratio


class Suspect(StrEnum):
    """What most likely stands behind a difference."""

    NONE = "none"
    DECIMALS = "decimals"  # a power of ten: decimal point, or Wh for kWh
    MULTIPLIER = "multiplier"  # the CT/PT ratio counted once too often or not at all
    OTHER_METER = "other meter"  # nothing simple explains it: address, wiring or word order


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two figures agree, by how much they differ, and what may be the cause."""

    agrees: bool
    difference: Decimal
    suspect: Suspect = Suspect.NONE
    ratio: Decimal | None = None  # shown over face, where it says something


def compare(
    face: Decimal, shown: Decimal, resolution: Decimal, multiplier: Decimal, later: Decimal = Decimal(0)
) -> Verdict:
    """Compare a counter's face with what the platform shows, both in the point's unit and without the multiplier.

    ``resolution`` is the step of the coarser of the two, ``later`` how much the meter may have counted between the two
    looks.
    """
    difference = shown - face
    if abs(difference) <= resolution + later:
        return Verdict(agrees=True, difference=difference)
    if not face or not shown:
        return Verdict(agrees=False, difference=difference, suspect=Suspect.OTHER_METER)
    ratio = shown / face
    if multiplier != 1 and (_near(ratio, multiplier) or _near(ratio, 1 / multiplier)):
        return Verdict(agrees=False, difference=difference, suspect=Suspect.MULTIPLIER, ratio=ratio)
    if any(_near(ratio, power) for power in POWERS_OF_TEN):
        return Verdict(agrees=False, difference=difference, suspect=Suspect.DECIMALS, ratio=ratio)
    return Verdict(agrees=False, difference=difference, suspect=Suspect.OTHER_METER, ratio=ratio)


class Pace(StrEnum):
    """How a counter's movement fits the power that was shown meanwhile."""

    RIGHT = "right"
    UNKNOWN = "unknown"  # it moved too little to tell, or there is no power to compare with
    BACKWARDS = "backwards"
    STANDS = "stands"  # power, but no counting
    REVERSED = "reversed"  # power is negative: current transformers the wrong way round
    WRONG = "wrong"  # by the ratio of ``counted`` to what the power means


@dataclass(frozen=True, slots=True)
class Movement:
    """A counter between two looks: what it counted, what the power means for that time (None: no power point)."""

    pace: Pace
    counted: Decimal
    expected: Decimal | None = None


def movement(first: Decimal, last: Decimal, resolution: Decimal, power: Decimal | None, elapsed: timedelta) -> Movement:
    """Judge a counter (kWh, without rollover) between two looks against the mean power (kW) between them.

    Both without the multiplier.  Energy is power × time.
    """
    counted = last - first
    expected = None if power is None else power * Decimal(str(elapsed.total_seconds())) / 3600
    if counted < 0:
        return Movement(Pace.BACKWARDS, counted, expected)
    if expected is None:
        return Movement(Pace.UNKNOWN, counted)
    if expected < -resolution:
        return Movement(Pace.REVERSED, counted, expected)
    if expected < PACE_STEPS_MIN * resolution:
        return Movement(Pace.UNKNOWN, counted, expected)
    if counted <= resolution:
        return Movement(Pace.STANDS, counted, expected)
    right = abs(counted - expected) <= PACE_TOLERANCE * expected + resolution
    return Movement(Pace.RIGHT if right else Pace.WRONG, counted, expected)


def _near(ratio: Decimal, wanted: Decimal) -> bool:
    return abs(ratio / wanted - 1) <= RATIO_NEAR
