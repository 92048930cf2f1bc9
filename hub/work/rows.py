"""Rows of the work slice."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from rules.work import dispatch
from rules.work.order import OPEN, Status


@dataclass(frozen=True, slots=True)
class Order:
    """A work order, as screens show it."""

    id: UUID
    number: int
    site_id: UUID
    device_id: UUID | None
    device: str | None
    device_name_zh: str | None
    device_name_en: str | None
    space: str
    space_name_zh: str
    space_name_en: str
    rule: str
    title_zh: str
    title_en: str
    skill: str
    zone: str
    priority: Literal["critical", "high", "medium", "low"]
    state: str
    assignee_id: UUID | None
    assignee: str | None
    assignee_name: str | None
    assigned_because_zh: str
    assigned_because_en: str
    reopened_count: int
    created_at: datetime
    changed_at: datetime
    accepted_at: datetime | None
    arrived_at: datetime | None
    done_at: datetime | None
    verified_at: datetime | None

    @property
    def status(self) -> Status:
        """The state, as the table of transitions names it."""
        return Status(self.state)

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an order's history."""

    at: datetime
    actor: str
    verb: str
    from_state: str
    to_state: str
    note_zh: str
    note_en: str


@dataclass(frozen=True, slots=True)
class Link:
    """Which order takes care of an alarm."""

    alarm_id: UUID
    order_id: UUID
    number: int
    state: str


@dataclass(frozen=True, slots=True)
class Technician:
    """Somebody who can be sent; ``load`` is how many orders wait for him."""

    id: UUID
    login: str
    name: str
    kind: str  # staff or contractor; contractors are sent by people only
    skills: list[str]
    zones: list[str]
    load: int

    @property
    def candidate(self) -> dispatch.Candidate:
        """The technician as the dispatch rule sees him."""
        return dispatch.Candidate(self.login, frozenset(self.skills), frozenset(self.zones), self.load, self.name)


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody, by his login."""

    login: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is: its space and the code of the building."""

    site_id: UUID
    space_id: UUID
    zone: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A step that was taken in before."""

    order_id: UUID
    actor: str


@dataclass(frozen=True, slots=True)
class Reported:
    """An order reported as done, with what its alarms say."""

    id: UUID
    done_at: datetime
    rule: str
    rule_version: int
    standing: bool
    clearing_since: datetime | None
