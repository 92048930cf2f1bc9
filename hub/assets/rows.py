"""Rows of the register."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Site:
    """One site."""

    id: UUID
    code: str
    name_zh: str
    name_en: str
    timezone: str
    currency: str

    @property
    def zone(self) -> ZoneInfo:
        """The time in which the site lives."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Space:
    """A building, a floor or a unit."""

    id: UUID
    site_id: UUID
    parent_id: UUID | None
    kind: str
    code: str
    name_zh: str
    name_en: str
    level: int
    area_m2: Decimal | None


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway and how it is doing."""

    id: UUID
    site_id: UUID
    code: str
    online: bool
    born_at: datetime | None
    seen_at: datetime | None
    depth: int
    committed: int
    clock_step_ms: int
    rival_spool: str
    rival_seen_at: datetime | None
    devices: int
    devices_online: int


@dataclass(frozen=True, slots=True)
class Device:
    """One meter or controller."""

    id: UUID
    site_id: UUID
    gateway_id: UUID
    space_id: UUID
    parent_id: UUID | None
    code: str
    name_zh: str
    name_en: str
    profile: str
    role: str
    commodity: str | None
    multiplier: Decimal
    online: bool
    online_changed_at: datetime | None
    space: str
    building: str


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a device."""

    id: int
    device_id: UUID
    code: str
    measure: str
    kind: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """How often messages could not be used for one reason, and the topic of the last one."""

    reason: str
    n: int
    last_at: datetime
    topic: str
