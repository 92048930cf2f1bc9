"""Approval flows: dated definitions of who approves what, in which order (K9 rules and flows as dated data).

A flow belongs to one kind of subject (lease, refund, command, …) and holds versions, each in force from its first day
until the next one begins.  A version has ordered steps.  A step that has a condition applies where the condition holds
*or cannot be judged*: an amount in a currency without limits, an attribute that the subject lacks.  In doubt more
people are asked, never fewer.  Amounts are half-open: from (included) to below (excluded).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, StringConstraints, TypeAdapter, model_validator

from rules.model.definition import Definition, check
from rules.model.part import Code, Name

STEPS_MAX = 20
VERSIONS_MAX = 200
HOURS_MAX = 24 * 366
DAYS_MAX = 3660

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=18, decimal_places=4)]
Hours = Annotated[int, Field(ge=1, le=HOURS_MAX)]
Days = Annotated[int, Field(ge=1, le=DAYS_MAX)]
PEOPLE_MAX = 20


def _how_many(value: Any) -> int | str:
    if value in ("one", "all"):
        return str(value)
    if str(value).isdecimal() and 1 <= int(value) <= PEOPLE_MAX:
        return int(value)
    raise ValueError(f"write one, all, or a number of people from 1 to {PEOPLE_MAX}")


Needs = Annotated[int | str, PlainValidator(_how_many)]
Roles = Annotated[tuple[Code, ...], Field(min_length=1, max_length=20)]


class Level(StrEnum):
    """Where a role is held, from near to far."""

    BUILDING = "building"
    SITE = "site"
    ORGANISATION = "organisation"
    GROUP = "group"


OUTWARD = tuple(Level)


class WithoutSteps(StrEnum):
    """What happens to a subject to which no step applies."""

    REFUSED = "refused"  # the definition has a gap: say so
    APPROVED = "approved"  # nobody needs to be asked


class Span(Definition):
    """A half-open span of amounts; ``below`` None: no upper end."""

    model_config = ConfigDict(populate_by_name=True)

    first: Amount = Field(default=Decimal(0), alias="from")
    below: Amount | None = None

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.below is not None and self.below <= self.first:
            raise ValueError("'below' must be more than 'from'")
        return self

    def __contains__(self, amount: Decimal) -> bool:
        return self.first <= amount and (self.below is None or amount < self.below)


class Escalation(Definition):
    """Who is asked as well when a step has waited ``after_h`` hours, or at once when nobody can decide it.

    Without roles it is the step's own roles one level further out.
    """

    after_h: Hours
    roles: Annotated[tuple[Code, ...], Field(max_length=20)] = ()
    where: Level | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.roles) != (self.where is not None):
            raise ValueError("'roles' and 'where' stand together, or neither: then the next level is asked")
        return self


class Step(Definition):
    """One step: who decides it, when it applies, how many of them it needs and how long it may take.

    It falls to those who hold one of ``roles`` at ``where``, or at the nearest level further out that has anybody.
    ``needs`` counts people: one, all who hold it when the step begins, or a number.  After ``within_h`` they are
    reminded.
    """

    code: Code
    name_zh: Name
    name_en: Name
    roles: Roles
    where: Level
    amount: Mapping[Currency, Span] = {}
    only: Mapping[Code, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    needs: Needs = "one"
    within_h: Hours | None = None
    escalation: Escalation | None = None
    deputies: bool = True

    def applies(self, facts: "Facts") -> bool:
        """Whether the step is taken for a subject; what cannot be judged counts as yes."""
        span = self.amount.get(facts.currency) if facts.currency is not None else None
        if span is not None and facts.amount is not None and facts.amount not in span:
            return False
        return all(facts.attributes.get(name, values[0]) in values for name, values in self.only.items())


class Facts(Definition):
    """What of a subject decides its steps: place (identities of site and building), amount, named attributes."""

    site: str | None = None
    building: str | None = None
    amount: Decimal | None = None
    currency: Currency | None = None
    attributes: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.amount is None) != (self.currency is None):
            raise ValueError("an amount has a currency, and a currency an amount")
        return self


class Version(Definition):
    """One version of a flow, in force from ``valid_from`` until the next version's.

    ``four_eyes``: nobody decides two steps (the submitter never decides, whatever stands here).  ``open_days``: an
    undecided request ends after them.  ``validity_days``: an approval that was not used by then lapses.
    """

    version: Annotated[str, Field(min_length=1, max_length=40)]
    valid_from: date
    four_eyes: bool = True
    self_withdraw: bool = True
    open_days: Days | None = None
    validity_days: Days = 90
    without_steps: WithoutSteps = WithoutSteps.REFUSED
    steps: Annotated[tuple[Step, ...], Field(max_length=STEPS_MAX)]

    @model_validator(mode="after")
    def _decides(self) -> Self:
        codes = [step.code for step in self.steps]
        twice = next((code for code in codes if codes.count(code) > 1), None)
        if twice is not None:
            raise ValueError(f"step '{twice}' stands twice in version '{self.version}'; give each its own code")
        if not codes and self.without_steps is WithoutSteps.REFUSED:
            raise ValueError(f"version '{self.version}' has no steps; add one, or say 'without_steps: approved'")
        return self

    def path(self, facts: Facts) -> tuple[int, ...]:
        """Give the places of the steps that apply to a subject, in order."""
        return tuple(place for place, step in enumerate(self.steps) if step.applies(facts))


class Flow(Definition):
    """The flow of one kind of subject, with its versions in time.

    ``form`` lets anybody who may ask for approvals submit one by hand: with an amount, or as a text only.
    """

    name_zh: Name
    name_en: Name
    form: Literal["amount", "text"] | None = None
    versions: Annotated[tuple[Version, ...], Field(min_length=1, max_length=VERSIONS_MAX)]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        for what in ("version", "valid_from"):
            held = [getattr(version, what) for version in self.versions]
            twice = next((one for one in held if held.count(one) > 1), None)
            if twice is not None:
                raise ValueError(f"two versions have '{what}' {twice}; requests refer to it, so give each its own")
        return self

    def version(self, day: date) -> Version | None:
        """Give the version in force on ``day``; None before the first."""
        return in_force(self.versions, day)


def in_force(versions: Sequence[Version], day: date) -> Version | None:
    """Give of several versions the one in force on ``day``: the latest to begin by then."""
    begun = [version for version in versions if version.valid_from <= day]
    return max(begun, key=lambda version: version.valid_from, default=None)


_FLOWS = TypeAdapter(dict[Code, Flow])


def parse_flows(data: Mapping[str, Any]) -> Mapping[str, Flow]:
    """Give the flows of decoded YAML by kind of subject; raises InvalidDefinitionError with every problem."""
    return check(_FLOWS, data, "flows")
