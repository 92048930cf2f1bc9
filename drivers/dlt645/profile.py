"""Profiles of DL/T 645-2007 meters: which data identifier holds a measure."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from drivers.profile import Measure, Profile, twice

Identifier = Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{8}$")]
DIGITS_MAX = 16
PLACES_MAX = 64


class Dlt645Measure(Measure):
    """A measure, its data identifier (DI3 to DI0), and where it stands in the answer.

    ``place`` counts values of the same width from 0: block 0201FF00 holds the voltages of the three phases.
    ``signed``: the topmost bit is a minus sign.
    """

    identifier: Identifier
    digits: Annotated[int, Field(ge=2, le=DIGITS_MAX, multiple_of=2)]
    decimals: Annotated[int, Field(ge=0, le=DIGITS_MAX)] = 0
    signed: bool = False
    place: Annotated[int, Field(ge=0, lt=PLACES_MAX)] = 0

    @property
    def step(self) -> Decimal:
        """Smallest step of the value, in ``unit``."""
        return self.resolution if self.resolution is not None else self.scale.scaleb(-self.decimals)

    @property
    def width(self) -> int:
        """Bytes of one value."""
        return self.digits // 2

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.decimals > self.digits:
            raise ValueError(f"measure '{self.name}' has more decimals than digits")
        return self


class Dlt645Profile(Profile):
    """One model of meter."""

    protocol: Literal["dlt645"]
    measure: Annotated[tuple[Dlt645Measure, ...], Field(min_length=1)]

    @property
    def measures(self) -> tuple[Dlt645Measure, ...]:
        """All measures in the order of the file."""
        return self.measure

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in (*twice(self.measure), *_clashes(self.measure)):
            raise ValueError(problem)
        return self


def _clashes(measures: tuple[Dlt645Measure, ...]) -> Iterable[str]:
    first: dict[str, Dlt645Measure] = {}
    places: dict[tuple[str, int], str] = {}
    for measure in measures:
        other = first.setdefault(measure.identifier, measure)
        if other.width != measure.width:
            yield f"measures '{other.name}' and '{measure.name}' of one identifier have different digits"
        name = places.setdefault((measure.identifier, measure.place), measure.name)
        if name != measure.name:
            yield f"measures '{name}' and '{measure.name}' are the same value"
