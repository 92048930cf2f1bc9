"""Profiles of CJ/T 188 meters: which field of the answer is a measure."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from drivers.cjt188.fields import HEAT, VOLUMES, fields
from drivers.profile import Measure, Profile, twice
from drivers.units import factor, known

FIELDS = {**VOLUMES, **HEAT}


class Cjt188Measure(Measure):
    """A measure and the standard's field that it comes from.

    ``unit`` need not be the one that the meter has chosen; the resolution is that of the field in ``unit`` unless the
    profile gives a finer one (a meter that counts in litres).
    """

    field: Annotated[str, StringConstraints(max_length=40)]

    @property
    def step(self) -> Decimal:
        """Smallest step of the value, in ``unit``."""
        decimals = FIELDS[self.field].decimals if self.field in FIELDS else 0
        return self.resolution if self.resolution is not None else self.scale.scaleb(-decimals)


class Cjt188Profile(Profile):
    """One model of meter.

    ``kind`` is the standard's (0x10 cold water, 0x20 heat, 0x30 gas).  ``identifier`` is sent as it is written; makers
    do not agree on the order of its bytes (901F or 1F90), nor on whether a unit follows its number (``unit_first``).
    """

    protocol: Literal["cjt188"]
    kind: Annotated[int, Field(ge=0x10, le=0x39)]
    identifier: Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{4}$")] = "901F"
    unit_first: bool = False
    measure: Annotated[tuple[Cjt188Measure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[Cjt188Measure, ...]:
        """All measures in the order of the file."""
        return self.measure

    @model_validator(mode="after")
    def _there(self) -> Self:
        for problem in twice(self.measure):
            raise ValueError(problem)
        there = fields(self.kind)
        for measure in self.measure:
            field = there.get(measure.field)
            if field is None:
                raise ValueError(
                    f"measure '{measure.name}': a meter of kind {self.kind:02X}H has no field '{measure.field}'; "
                    f"it has {', '.join(there) or 'none that we know'}"
                )
            if not known(measure.unit) or (not field.coded and factor(field.unit, measure.unit) is None):
                raise ValueError(f"measure '{measure.name}' cannot be read in '{measure.unit}'")
        return self
