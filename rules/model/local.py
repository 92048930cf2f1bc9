"""What a gateway works out and does by itself, as a site file writes it: derived points, local rules, interlocks."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from rules.model.expression import CHARACTERS_MAX
from rules.model.part import Code, Part

DELAY_S_MAX = 3_600

MeasureName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
PointCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.[a-z][a-z0-9_]*$", max_length=110)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=CHARACTERS_MAX)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Derived(Part):
    """A further measure of a device, worked out from points of the same gateway whenever one of them is read."""

    device: Code
    measure: MeasureName
    expression: Text
    unit: Annotated[str, StringConstraints(max_length=20)] = ""
    kind: Literal["gauge", "state"] = "gauge"
    resolution: Annotated[Decimal, Field(gt=0)] = Decimal("0.001")
    deadband: Annotated[float, Field(ge=0)] = 0.0

    @property
    def point(self) -> str:
        """Its code as a point."""
        return f"{self.device}.{self.measure}"


class LocalRule(Part):
    """While ``when`` holds, the gateway keeps ``point`` at ``to``, with or without the hub.

    It has to hold for ``delay_s``.  With ``latch`` it goes on until ``reset`` holds and ``when`` does not; else, when
    ``when`` ends, the point is set to ``after`` (not given: it is left).  ``unknown`` says what an unreadable input
    means.  A life-safety rule goes before all others and is not held back by interlocks.
    """

    code: MeasureName
    when: Text
    point: PointCode
    to: Finite
    delay_s: Annotated[float, Field(ge=0, le=DELAY_S_MAX)] = 0.0
    latch: bool = False
    reset: Text | None = None
    after: Finite | None = None
    unknown: Literal["act", "hold"] = "hold"
    life_safety: bool = False

    @property
    def sign(self) -> str:
        """The point by which it shows what it does; one that latches is reset by setting that to 0."""
        return f"{self.point.rpartition('.')[0]}.{self.code}"


class Interlock(Part):
    """While ``when`` holds, ``point`` may not be set, or to ``only`` alone.

    ``unknown`` says what an unreadable input means.
    """

    code: MeasureName
    point: PointCode
    when: Text
    only: Finite | None = None
    unknown: Literal["block", "allow"] = "block"
