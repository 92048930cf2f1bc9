"""Rows of the register."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from rules.meter.look import Look


@dataclass(frozen=True, slots=True)
class Site:
    """One site."""

    id: UUID
    code: str
    name_zh: str
    name_en: str
    timezone: str
    currency: str
    bill_trusted_only: bool = False

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
    spool_percent: int
    dropped: int  # readings and events that its spool could not keep
    dropped_at: datetime | None
    skew_ms: int  # its clock ahead of the hub's
    version: str  # of its program; '': it does not say
    devices: int
    devices_online: int
    certificate_ends_at: datetime | None  # of the one that lasts longest
    certificate_ends_soon: bool  # within 30 days: a gateway renews its own before that
    certificate_revoked_at: datetime | None  # where all were taken back
    configuration: str | None  # SHA-256 of the site file that it goes by; None: it has not said
    configuration_state: str | None  # rules.wire.configuration.State
    configuration_reason: str
    configuration_wanted: str | None  # None: nobody wants one
    configuration_wanted_at: datetime | None


@dataclass(frozen=True, slots=True)
class CertifiedGateway:
    """A gateway as it is named in a certificate."""

    id: UUID
    site: str
    gateway: str


@dataclass(frozen=True, slots=True)
class GatewayCertificate:
    """A certificate that a gateway was given; ``certificate`` is PEM, the fingerprints are SHA-256 in hexadecimal."""

    serial: str
    gateway_id: UUID
    site: str
    gateway: str
    fingerprint: str
    key_fingerprint: str
    certificate: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None

    def in_force(self, now: datetime) -> bool:
        """Whether it counts: neither taken back nor over."""
        return self.revoked_at is None and now < self.not_after


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


@dataclass(frozen=True, slots=True)
class SignedLook:
    """One look at a meter's face, as somebody signed it; figures in ``unit``, without the multiplier."""

    point_id: int
    point: str
    unit: str
    by_whom: str
    at: datetime
    face: Decimal
    shown: Decimal | None
    power: Decimal | None
    agrees: bool
    pace: str
    said: str
    received_at: datetime
    received_from: str

    @property
    def look(self) -> Look:
        """The look as the rules know it."""
        shown = "" if self.shown is None else f"{self.shown:f}"
        power = "" if self.power is None else f"{self.power:f}"
        face = f"{self.face:f}"
        return Look(self.point, self.unit, self.by_whom, self.at, face, shown, self.agrees, power, self.pace, self.said)


@dataclass(frozen=True, slots=True)
class Counter:
    """A point that bills may stand on."""

    id: int
    code: str
    unit: str
    device: str
    name_zh: str
    name_en: str
    commodity: str | None
    space: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """A gateway (``device`` '') or device that speaks without being registered, and how much is held of it."""

    site_id: UUID
    site: str
    gateway: str
    device: str
    declares: str
    first_seen_at: datetime
    last_seen_at: datetime
    gateway_known: bool
    held: int  # frames
    readings: int


@dataclass(frozen=True, slots=True)
class HeldCount:
    """A point of unit ``unit`` whose device ``said`` another, and the readings that wait for somebody to settle it."""

    point_id: int
    point: str
    unit: str
    said: str
    held: int  # frames
    readings: int
    first_at: datetime
    last_at: datetime
