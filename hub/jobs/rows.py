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
class MarkedHour:
    """A UTC hour of a point and how many marks it had; ``late``: all of them came well after the hour."""

    point_id: int
    bucket: datetime
    late: bool
    n: int


@dataclass(frozen=True, slots=True)
class PointHour:
    """A UTC hour of a point."""

    point_id: int
    bucket: datetime


@dataclass(frozen=True, slots=True)
class TakenHour:
    """A UTC hour of a point to be made again; no zone: the point is gone.  ``late``: it came well after the hour."""

    point_id: int
    bucket: datetime
    late: bool
    timezone: str | None


@dataclass(frozen=True, slots=True)
class TakenDay:
    """A local day of a point to be made again; no zone: the point is gone."""

    point_id: int
    day: date
    timezone: str | None


@dataclass(frozen=True, slots=True)
class RolledSpan:
    """What a span knows of a point (rules/meter/rollup.py)."""

    point_id: int
    starts_at: datetime
    n: int
    good_n: int
    sum: float | None
    min: float | None
    max: float | None
    first: float | None
    first_at: datetime | None
    last: float | None
    last_at: datetime | None
    covered_s: float
    integral: float
    falls: int


@dataclass(frozen=True, slots=True)
class RolledDay:
    """What a local day knows of a point."""

    point_id: int
    day: date
    starts_at: datetime
    ends_at: datetime
    n: int
    good_n: int
    sum: float | None
    min: float | None
    max: float | None
    first: float | None
    first_at: datetime | None
    last: float | None
    last_at: datetime | None
    covered_s: float
    integral: float
    falls: int
    late_s: float


@dataclass(frozen=True, slots=True)
class CutZone:
    """A site whose days are cut anew, and the last point for which they have been."""

    site_id: UUID
    after_point: int


@dataclass(frozen=True, slots=True)
class UtcDays:
    """The days (UTC) in which a point has hours."""

    point_id: int
    days: list[date]
