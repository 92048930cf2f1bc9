"""How long readings are kept: dated data, by what a point measures.  Pure.

A point belongs to the first class that fits it.  A counter of a site that bills rest on is bound: its readings stay
from the first day that a bill or lease needs them, whatever its class says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from rules.model.definition import Definition, InvalidDefinitionError, check
from rules.model.point import Kind
from rules.model.quantity import UnknownUnitError, compatible

YOUNGEST_DAYS = 92  # the database refuses to remove what is younger than 90 days
DAYS_MAX = 36_525  # a hundred years
MARGIN = timedelta(days=31)  # readings before a bill's first day that may have to explain it

Days = Annotated[int, Field(ge=YOUNGEST_DAYS, le=DAYS_MAX)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class Kept(Definition):
    """A class of points and the days for which its readings and rollups are kept."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
    name_zh: Text
    name_en: Text
    why: Text
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)]
    units: tuple[str, ...] = ()
    raw: Days
    hourly: Days
    daily: Days

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.raw <= self.hourly <= self.daily:
            raise ValueError("'raw', 'hourly' and 'daily' must not become shorter; what is coarser stays longer")
        for unit in self.units:
            compatible(unit, unit)  # an UnknownUnitError says so
        return self

    def fits(self, kind: Kind, unit: str) -> bool:
        """Whether a point of that kind and unit belongs here; a unit that nobody knows fits wherever its kind does."""
        if kind not in self.kinds:
            return False
        try:
            return not self.units or any(compatible(unit, own) for own in self.units)
        except UnknownUnitError:
            return True


class Retention(Definition):
    """What holds from a day on; ``papers`` is how long the papers of a lease are kept after its end, in days."""

    valid_from: date
    papers: Days
    classes: Annotated[tuple[Kept, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        codes = [kept.code for kept in self.classes]
        if len(set(codes)) < len(codes):
            raise ValueError("two classes have the same code; give each its own")
        if self.classes[-1].units or set(self.classes[-1].kinds) != set(Kind):
            raise ValueError("the last class must fit whatever is left: all kinds, no units")
        return self

    @property
    def papers_kept(self) -> timedelta:
        """How long the papers of a lease are kept after its end."""
        return timedelta(days=self.papers)

    def of(self, kind: Kind, unit: str) -> Kept:
        """Give the class of a point."""
        return next(kept for kept in self.classes if kept.fits(kind, unit))


@dataclass(frozen=True, slots=True)
class Ends:
    """Up to when readings, hours and days have outlived their period."""

    raw: datetime
    hourly: datetime
    daily: datetime


def ends(kept: Kept, kind: Kind, bound_since: date | None, zone: ZoneInfo, now: datetime) -> Ends:
    """Give up to when a point's readings may go; ``bound_since`` is the first day (in ``zone``) that a bill needs."""
    raw, hourly, daily = (now - timedelta(days=days) for days in (kept.raw, kept.hourly, kept.daily))
    if kind is Kind.COUNTER and bound_since is not None:
        bound = datetime.combine(bound_since, time(), zone) - MARGIN
        raw, hourly, daily = min(raw, bound), min(hourly, bound), min(daily, bound)
    return Ends(raw, hourly, daily)


def in_force(rules: Sequence[Retention], day: date) -> Retention:
    """Give what holds on a day; before the first entry, the first."""
    begun = [rule for rule in rules if rule.valid_from <= day]
    return max(begun, key=lambda rule: rule.valid_from) if begun else min(rules, key=lambda rule: rule.valid_from)


def parse(data: Any) -> tuple[Retention, ...]:
    """Check decoded YAML; raises InvalidDefinitionError with a sentence for every problem."""
    found = check(TypeAdapter(Annotated[tuple[Retention, ...], Field(min_length=1)]), data, "retention")
    days = [rule.valid_from for rule in found]
    twice = sorted({day for day in days if days.count(day) > 1})
    if twice:
        raise InvalidDefinitionError([f"retention: two entries begin on {day}; keep one of the two." for day in twice])
    return found
