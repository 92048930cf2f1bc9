"""Rows of the audit record."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Entry:
    """One act, as a screen shows it; ``sealed_number`` is None for the moment before the chain takes it in.

    ``details["changed"]`` holds each changed field with its value before and after.
    """

    id: int
    at: datetime
    actor: str
    on_behalf_of: str
    address: str
    request_id: str
    action: str
    entity: str
    entity_id: str
    details: dict[str, Any]
    reason: str
    sealed_number: int | None


@dataclass(frozen=True, slots=True)
class Sought:
    """What to search for; empty means any.  ``until`` is the moment after; ``text`` stands in details or reason."""

    actor: str = ""
    entity: str = ""
    entity_id: str = ""
    action: str = ""
    request: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unsealed:
    """One act that waits for its place in the chain; ``details`` is the database's own text of it."""

    id: int
    organisation_id: str
    at: datetime
    actor: str
    on_behalf_of: str
    address: str
    request_id: str
    action: str
    entity: str
    entity_id: str
    details: str
    reason: str
    format: int


@dataclass(frozen=True, slots=True)
class Sealed(Unsealed):
    """One act with its place in the chain and the hash over it and its predecessor."""

    sealed_number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """The end of the chain."""

    sealed_number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Reach:
    """How many acts are in the chain, how many wait, and the hash of the one that was asked for."""

    sealed: int
    waiting: int
    anchored_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Span:
    """The first and last place in the chain of what was done in some time."""

    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Concerned:
    """An organisation of which a part of the chain tells."""

    organisation_id: UUID
