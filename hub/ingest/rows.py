"""Rows that ingest reads."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
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
    kind: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None


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


@dataclass(frozen=True, slots=True)
class Already:
    """A reading that is stored already; ``n`` is the number of the one asked about, from 1."""

    n: int
    value: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class Import:
    """A file of history and what became of it."""

    id: UUID
    site_id: UUID
    site: str
    name: str
    sha256: str
    size_bytes: int
    state: str
    checked_at: datetime
    checked_by: str
    stored_at: datetime | None
    stored_by: str | None
    readings: int
    good: int
    duplicates: int
    conflicts: int
    refused: int
    first_at: datetime | None
    last_at: datetime | None
