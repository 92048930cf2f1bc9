"""Rows that ingest reads."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device of a gateway."""

    id: UUID
    organisation_id: UUID
    site_id: UUID
    gateway_id: UUID
    code: str


@dataclass(frozen=True, slots=True)
class PointOf:
    """A point of a device."""

    id: int
    device_id: UUID
    measure: str
    unit: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a site is."""

    code: str
    organisation_id: UUID


@dataclass(frozen=True, slots=True)
class Moved:
    """A point whose latest reading has moved on; ``before`` is the time of the one before."""

    point_id: int
    before: datetime | None


@dataclass(frozen=True, slots=True)
class WantedConfiguration:
    """A site file that a gateway does not go by yet."""

    site: str
    gateway: str
    number: int
    body: str


@dataclass(frozen=True, slots=True)
class HeldFrame:
    """A frame on the shelf whose device is registered by now; ``body`` is a payload that names everything."""

    id: int
    site: str
    gateway: str
    spool: str
    device: str
    received_at: datetime
    body: bytes
