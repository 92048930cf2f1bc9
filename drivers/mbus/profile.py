"""Profiles of M-Bus meters: which record of the answer is a measure."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from drivers.mbus.quantities import QUANTITIES
from drivers.mbus.records import Function
from drivers.profile import Measure, Positive, Profile, twice
from drivers.units import known

TELEGRAMS_MAX = 16


class MbusMeasure(Measure):
    """A measure and what tells its record from the others.

    The record says its own unit and power of ten; ``unit`` is what the value becomes.  ``index`` counts records that
    are alike in everything else; ``extensions`` are VIFEs that make it another quantity ('7F': the maker's own).
    """

    resolution: Positive
    quantity: str
    function: Function = Function.INSTANT
    storage: Annotated[int, Field(ge=0)] = 0
    tariff: Annotated[int, Field(ge=0)] = 0
    subunit: Annotated[int, Field(ge=0)] = 0
    index: Annotated[int, Field(ge=0, le=250)] = 0
    extensions: Annotated[str, StringConstraints(pattern=r"^([0-7][0-9A-F])*$", max_length=20)] = ""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"measure '{self.name}': there is no quantity '{self.quantity}'")
        if not known(self.unit):
            raise ValueError(f"measure '{self.name}' cannot be read in '{self.unit}'")
        return self


class MbusProfile(Profile):
    """One model of meter; at most ``telegrams`` are asked for one reading, however many it offers."""

    protocol: Literal["mbus"]
    telegrams: Annotated[int, Field(ge=1, le=TELEGRAMS_MAX)] = TELEGRAMS_MAX
    measure: Annotated[tuple[MbusMeasure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[MbusMeasure, ...]:
        """All measures in the order of the file."""
        return self.measure

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        return self
