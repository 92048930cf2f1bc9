"""Virtual meters as a site file writes them: dated sums, differences and shares of other meters."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from rules.model.part import Code, Named, Part

TERMS_MAX = 200
VERSIONS_MAX = 50


class Missing(StrEnum):
    """What a term without a consumption does to the whole.  It is never taken for zero in silence."""

    PARK = "park"  # the whole is not known
    ESTIMATE = "estimate"  # put in what the same meter used on average before, and mark it
    LEAVE_OUT = "leave_out"  # go on without it, and mark it


class Term(Part):
    """One meter that goes in, times ``factor``: 1 adds, −1 takes away, 0.3 is a share."""

    meter: Code
    factor: Annotated[Decimal, Field(ge=-1000, le=1000, decimal_places=6)] = Decimal(1)
    missing: Missing = Missing.PARK

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.factor == 0:
            raise ValueError(f"'{self.meter}' has the factor 0, so it says nothing; take the term out")
        return self


class Version(Part):
    """The terms from ``valid_from`` to ``valid_to`` (the last day; not given: until further notice)."""

    valid_from: date
    valid_to: date | None = None
    term: Annotated[tuple[Term, ...], Field(min_length=1, max_length=TERMS_MAX)]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        meters = [term.meter for term in self.term]
        twice = next((code for code in meters if meters.count(code) > 1), None)
        if twice is not None:
            raise ValueError(f"'{twice}' stands in two terms; add their factors")
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"it ends on {self.valid_to}, before it starts on {self.valid_from}")
        return self

    def holds(self, day: date) -> bool:
        """Whether it is in force on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class VirtualMeter(Named):
    """A meter that hangs nowhere: its consumption is worked out from that of others, version by version."""

    commodity: str
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    version: Annotated[tuple[Version, ...], Field(min_length=1, max_length=VERSIONS_MAX)]

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        for one, other in pairwise(sorted(self.version, key=lambda v: v.valid_from)):
            if one.valid_to is None or other.valid_from <= one.valid_to:
                raise ValueError(f"two versions hold on {other.valid_from}; end the earlier one the day before")
        return self

    def version_on(self, day: date) -> Version | None:
        """Give the version in force on ``day``."""
        return next((version for version in self.version if version.holds(day)), None)

    @property
    def sources(self) -> set[str]:
        """Every meter that goes in, in any version."""
        return {term.meter for version in self.version for term in version.term}


def in_order(meters: Sequence[VirtualMeter]) -> list[VirtualMeter]:
    """Give them so that each comes after those it stands on; raises ValueError that names a cycle."""
    by_code = {meter.code: meter for meter in meters}
    done: dict[str, VirtualMeter] = {}

    def visit(code: str, way: tuple[str, ...]) -> None:
        if code in way:
            circle = " → ".join([*way[way.index(code) :], code])
            raise ValueError(f"virtual meter '{code}' stands on itself: {circle}; break the circle")
        if code in by_code and code not in done:
            for source in sorted(by_code[code].sources):
                visit(source, (*way, code))
            done[code] = by_code[code]

    for meter in meters:
        visit(meter.code, ())
    return list(done.values())


def faults(meters: Sequence[VirtualMeter], commodities: Mapping[str, str | None]) -> Iterable[str]:
    """Say what is wrong with virtual meters beside the devices' commodities (None: it counts nothing)."""
    known = {**commodities, **{meter.code: meter.commodity for meter in meters}}
    for meter in meters:
        if meter.code in commodities:
            yield f"virtual meter '{meter.code}' has the code of a device; give it one of its own."
        for source in sorted(meter.sources):
            if source not in known:
                yield f"virtual meter '{meter.code}' names meter '{source}', which the file does not have."
            elif known[source] != meter.commodity:
                counts = known[source] or "nothing"
                yield f"virtual meter '{meter.code}' is of {meter.commodity}, but '{source}' counts {counts}."
    try:
        in_order(meters)
    except ValueError as error:
        yield f"{error}."
