"""Rows of the approvals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from rules.flow.definition import Flow, Level, Version
from rules.flow.request import Request, State
from rules.flow.seats import Seat


@dataclass(frozen=True, slots=True)
class Subject:
    """What somebody wants to be allowed: its kind and identity, place, amount, and everything an approver must see.

    ``content`` holds text, Decimal, int, bool, date, time, lists and mappings of them, no float.  ``attributes`` are
    what the flow's steps may ask about.  ``link`` is the subject's own page.
    """

    kind: str
    id: str
    title_zh: str
    title_en: str
    content: Mapping[str, Any]
    site_id: UUID | None = None
    building_id: UUID | None = None
    amount: Decimal | None = None
    currency: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    link: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A decision as it is sent in: on what was seen, in which step, on whose behalf, under the sender's own id."""

    verdict: str
    seen_hash: str
    round: int
    step: int
    submission_id: UUID
    comment: str = ""
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A request as the table holds it."""

    id: UUID
    number: int
    kind: str
    subject_id: str
    title_zh: str
    title_en: str
    link: str
    site_id: UUID | None
    building_id: UUID | None
    amount: Decimal | None
    currency: str | None
    attributes: dict[str, str]
    flow: str  # the version that governs, as JSON
    submitted_by: str
    authors: list[str]
    submitted_at: datetime
    content_hash: str
    round: int
    asked_at: datetime
    state: str
    step: int
    since: datetime | None
    needed: int
    reminded: bool
    escalated: bool
    short: bool
    ended_at: datetime | None
    usable_until: datetime | None
    used_at: datetime | None
    previous_number: int | None
    site_zh: str | None
    site_en: str | None


@dataclass(frozen=True, slots=True)
class Opinion:
    """One decision as it stands on record; ``step`` is the place in the version's steps."""

    request_id: UUID
    round: int
    step: int
    login: str
    principal: str | None
    verdict: str
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """What approvers saw in a round."""

    round: int
    content: dict[str, Any]
    content_hash: str
    written_by: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """One role that somebody holds who can be asked, with how to reach him; a person has a row for each."""

    login: str
    name: str
    email: str | None
    language: str
    role: str
    level: str
    site_id: UUID | None
    building_id: UUID | None


@dataclass(frozen=True, slots=True)
class Contact:
    """How somebody is called and reached."""

    login: str
    name: str
    email: str | None
    language: str


@dataclass(frozen=True, slots=True)
class Deputy:
    """A deputation with the people's names; ``end_at`` is the first moment after."""

    id: UUID
    principal: str
    principal_name: str
    deputy: str
    deputy_name: str
    start_at: datetime
    end_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One request as a list shows it; ``seats`` are those of the person who looks."""

    stored: Stored
    request: Request
    flow: Flow | None
    seats: tuple[Seat, ...]
    submitter_name: str

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.request.state


@dataclass(frozen=True, slots=True)
class Life:
    """Everything about one request, for the person who looks: what he may do, who else can decide, what happened."""

    stored: Stored
    request: Request
    flow: Flow | None
    contents: tuple[Content, ...]
    opinions: tuple[Opinion, ...]
    seats: tuple[Seat, ...]
    mine: tuple[Seat, ...]
    names: Mapping[str, str]
    may_withdraw: bool
    may_change: bool

    @property
    def content(self) -> dict[str, Any]:
        """What is before the approvers now."""
        return self.contents[-1].content


@dataclass(frozen=True, slots=True)
class OwnVersion:
    """An organisation's own version of a flow, proposed or adopted."""

    id: UUID
    kind: str
    version: str
    valid_from: date
    definition: dict[str, Any]
    written: str
    proposed_by: str
    proposed_at: datetime
    adopted_by: str | None
    adopted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Dated:
    """A version of a flow beside others: whose it is (own, or it came with the program) and whether it holds."""

    version: Version
    own: OwnVersion | None
    holds: bool


@dataclass(frozen=True, slots=True)
class Book:
    """The flows of an organisation on a day, by kind of subject."""

    day: date
    flows: Mapping[str, Flow]  # all versions of each, shipped and own, those that are not reached by the day too
    in_force: Mapping[str, Version]


@dataclass(frozen=True, slots=True)
class Zone:
    """The time zone of a site."""

    timezone: str


@dataclass(frozen=True, slots=True)
class Place:
    """A site as a form offers it."""

    id: UUID
    code: str
    name_zh: str
    name_en: str
    currency: str


LEVELS = {level.value: level for level in Level}
