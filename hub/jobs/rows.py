"""Rows that the jobs read."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Organisation:
    """One organisation of this hub."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Missed:
    """A gateway that has fallen silent without a goodbye."""

    id: UUID
    organisation_id: UUID
