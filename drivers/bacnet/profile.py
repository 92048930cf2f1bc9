"""Profiles of BACnet devices: which property of which object a measure is."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from drivers.profile import Measure, Profile, twice

# ASHRAE 135, clause 12: object types whose present value is a number, and whether it is a whole one.
WHOLE: Mapping[str, bool] = {
    "analog-input": False, "analog-output": False, "analog-value": False, "large-analog-value": False,
    "averaging": False, "loop": False, "pulse-converter": False,
    "accumulator": True, "integer-value": True, "positive-integer-value": True,
    "binary-input": True, "binary-output": True, "binary-value": True,
    "multi-state-input": True, "multi-state-output": True, "multi-state-value": True,
}  # fmt: skip
WITH_UNITS = frozenset(
    {"analog-input", "analog-output", "analog-value", "large-analog-value", "pulse-converter", "accumulator",
     "integer-value", "positive-integer-value"}
)  # fmt: skip
UNTOLD = frozenset({"accumulator", "averaging"})  # objects without change-of-value reporting (table 13-1)
INSTANCE_MAX = 4_194_302
RPM_OBJECTS_MAX = 100
COV_LIFETIME_S_MIN = 60
COV_LIFETIME_S_MAX = 86_400
PRESENT_VALUE = "present-value"
LIFE_SAFETY_PRIORITY = 2  # 1 and 2 are manual and automatic life safety (clause 19.2.2)

Reference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]*,[0-9]{1,7}$")]
Property = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]*$", max_length=64)]


class BacnetMeasure(Measure):
    """A measure and the property that it comes from ('analog-input,1').

    A command is written at ``write_priority``; 1 and 2 belong to life safety and need ``life_safety = true``.
    """

    object: Reference
    named: Annotated[Property, Field(alias="property")] = PRESENT_VALUE
    index: Annotated[int, Field(ge=1, le=1000)] | None = None
    writable: tuple[Decimal, Decimal] | None = None  # from, to, in ``unit``; None: read only
    write_priority: Annotated[int, Field(ge=1, le=16)] = 8
    life_safety: bool = False

    @property
    def type(self) -> str:
        """The object's type."""
        return self.object.partition(",")[0]

    @property
    def instance(self) -> int:
        """The object's number."""
        return int(self.object.partition(",")[2])

    @property
    def whole(self) -> bool:
        """Whether a command has to be a whole number."""
        return self.named == PRESENT_VALUE and WHOLE[self.type]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problems = {
            f"is of '{self.type}'; there are {', '.join(WHOLE)}": self.type not in WHOLE,
            f"has an object number above {INSTANCE_MAX}": self.instance > INSTANCE_MAX,
            "is writable from more to less": self.writable is not None and self.writable[0] > self.writable[1],
            f"writes at priority {self.write_priority}, which is life safety's: say life_safety = true or take 3 to 16":
                self.write_priority <= LIFE_SAFETY_PRIORITY and not self.life_safety,
        }  # fmt: skip
        for problem, found in problems.items():
            if found:
                raise ValueError(f"measure '{self.name}' {problem}")
        return self


class BacnetProfile(Profile):
    """One model of device; at most ``max_rpm`` objects are asked in one ReadPropertyMultiple, 1 asks them singly.

    With ``cov`` the device is asked to tell changes, for ``cov_lifetime_s`` at a time (never for ever: a subscription
    without an end would outlive the gateway in the device's table).  Counters are polled all the same.
    """

    protocol: Literal["bacnet"]
    max_rpm: Annotated[int, Field(ge=1, le=RPM_OBJECTS_MAX)] = 20
    cov: bool = False
    cov_lifetime_s: Annotated[int, Field(ge=COV_LIFETIME_S_MIN, le=COV_LIFETIME_S_MAX)] = 300
    measure: Annotated[tuple[BacnetMeasure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[BacnetMeasure, ...]:
        """All measures in the order of the file."""
        return self.measure

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        places = [(measure.object, measure.named, measure.index) for measure in self.measure]
        for place, measure in zip(places, self.measure, strict=True):
            if places.count(place) > 1:
                raise ValueError(f"measure '{measure.name}': {measure.object} {measure.named} stands more than once")
        return self
