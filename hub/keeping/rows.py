"""Rows of the care of stored readings."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the stored readings, about a week: a partition or a chunk, with its indexes."""

    part: str
    starts_at: datetime
    ends_at: datetime
    bytes: int
    compacted: bool


@dataclass(frozen=True, slots=True)
class Organisation:
    """One organisation of this hub."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Alike:
    """The points of a site of one kind and unit."""

    site_id: UUID
    kind: str
    unit: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class Basis:
    """Since when readings of a site's counters stand behind bills, or will."""

    site_id: UUID
    since: date


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many readings of an organisation went with a part; without one: something had to stay."""

    organisation_id: UUID | None
    n: int


@dataclass(frozen=True, slots=True)
class PointId:
    """A point."""

    id: int
