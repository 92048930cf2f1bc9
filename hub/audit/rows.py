"""Rows of the audit record."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


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
