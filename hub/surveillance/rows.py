"""Rows of zones, stills and badge events."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of a site that cameras and doors watch."""

    id: UUID
    site_id: UUID
    site: str
    code: str
    name_zh: str
    name_en: str
    building: str | None
    sensitive: bool


@dataclass(frozen=True, slots=True)
class Still:
    """A still without its picture; ``kept_until`` is set where it is evidence."""

    id: UUID
    site: str
    zone: str
    zone_zh: str
    zone_en: str
    sensitive: bool
    camera: str
    at: datetime
    kind: str
    holder_id: UUID | None
    width: int
    height: int
    size: int  # bytes
    kept_until: datetime | None
    source: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Bytes of a picture, JPEG as the hub wrote it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What is there already under the same camera and moment."""

    id: UUID
    sha256: bytes


@dataclass(frozen=True, slots=True)
class BadgeEvent:
    """What happened at a door; ``name`` and ``badge`` are None where nobody showed a badge."""

    id: int
    site: str
    zone: str
    zone_zh: str
    zone_en: str
    sensitive: bool
    door: str
    at: datetime
    result: str
    holder_id: UUID | None
    badge: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Door:
    """A door or a camera, by its code."""

    code: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A badge event that is there already, to be compared with one that is sent again."""

    submission_id: UUID
    zone_id: UUID
    door: str
    at: datetime
    result: str
    holder_id: UUID | None
