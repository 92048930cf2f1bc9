"""Rows that the jobs read."""

from dataclasses import dataclass
from datetime import date, datetime
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


@dataclass(frozen=True, slots=True)
class ZoneHour:
    """A UTC hour that is made again for points of this time zone."""

    timezone: str
    bucket: datetime


@dataclass(frozen=True, slots=True)
class ZoneDay:
    """A local day that is made again for points of this time zone."""

    timezone: str
    day: date


@dataclass(frozen=True, slots=True)
class Made:
    """How many rollups were made."""

    n: int
