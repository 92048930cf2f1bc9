"""Rows of the privacy slice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from rules.privacy.register import Entry

Report = Mapping[str, Mapping[str, int]]  # by table: how many rows speak of a person, how many of them stay as they are


@dataclass(frozen=True, slots=True)
class Found:
    """A record that may be the person's: a user, a contact of a tenant or a badge holder."""

    kind: str  # user | contact | badge
    id: UUID
    name: str
    known_by: str  # login, tenant, or site and badge


@dataclass(frozen=True, slots=True)
class Person:
    """The records that are one person's, as an officer put them together."""

    user_ids: tuple[UUID, ...] = ()
    contact_ids: tuple[UUID, ...] = ()
    holder_ids: tuple[UUID, ...] = ()

    @property
    def ids(self) -> tuple[UUID, ...]:
        """All of them."""
        return (*self.user_ids, *self.contact_ids, *self.holder_ids)


@dataclass(frozen=True, slots=True)
class Traits:
    """By what else a person is known: what stands in other tables instead of his record's id."""

    logins: list[str]
    emails: list[str]
    tenant_ids: list[UUID]
    words: list[str]  # names, numbers and addresses that a note may mention


@dataclass(frozen=True, slots=True)
class Record:
    """One row of an export."""

    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """A still that shows the person, JPEG."""

    id: UUID
    picture: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """What one table knows of a person."""

    table: str
    entry: Entry
    records: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Export:
    """Everything that is known of a person; every table of the register has its section, also where it is empty."""

    person: Person
    made_at: datetime
    sections: tuple[Section, ...]
    pictures: Mapping[UUID, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """What an erasure does to one table: ``count`` rows speak of the person, ``kept`` of them stay as they are."""

    table: str
    entry: Entry
    count: int
    kept: int


@dataclass(frozen=True, slots=True)
class State:
    """How much a table holds, since when, and how much of it has outlived its period."""

    kept: int
    due: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Retention:
    """The state of one table under its entry."""

    table: str
    entry: Entry
    state: State


@dataclass(frozen=True, slots=True)
class Id:
    """A row by its id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked about a person's data, and what was done; ``report`` holds rows by table, without a name."""

    id: UUID
    kind: str
    user_ids: list[UUID]
    contact_ids: list[UUID]
    holder_ids: list[UUID]
    reason: str
    asked_by: str
    asked_at: datetime
    approval: int | None  # number of the request for approval
    withdrawn_at: datetime | None
    done_by: str | None
    done_at: datetime | None
    report: Report | None

    @property
    def person(self) -> Person:
        """Whose data it is about."""
        return Person(tuple(self.user_ids), tuple(self.contact_ids), tuple(self.holder_ids))

    @property
    def state(self) -> str:
        """Where it stands: asked, done, withdrawn."""
        if self.done_at is not None:
            return "done"
        return "withdrawn" if self.withdrawn_at is not None else "asked"
