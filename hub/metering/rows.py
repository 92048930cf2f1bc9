"""Rows of metering: meters, stored facts of consumption and their changes."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rules.meter.series import Counter
from rules.model.virtual import VirtualMeter

Evidence = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Meter:
    """A counter of a device that counts a commodity; ``code`` is the device's, ``point`` the counter's."""

    point_id: int
    point: str
    unit: str
    resolution: Decimal
    modulus: Decimal | None
    device_id: UUID
    parent_id: UUID | None
    code: str
    name_zh: str
    name_en: str
    commodity: str
    role: str
    multiplier: Decimal
    hourly_max: Decimal | None
    site_id: UUID
    timezone: str

    @property
    def zone(self) -> ZoneInfo:
        """The time in which its days run."""
        return ZoneInfo(self.timezone)

    @property
    def counter(self) -> Counter:
        """How its face is read."""
        return Counter(self.resolution, self.modulus, self.multiplier, self.hourly_max)


@dataclass(frozen=True, slots=True)
class Virtual:
    """A virtual meter; ``versions`` as `rules.model.virtual` reads them."""

    id: UUID
    site_id: UUID
    timezone: str
    code: str
    name_zh: str
    name_en: str
    commodity: str
    unit: str
    versions: list[Evidence]
    withdrawn: bool

    @property
    def zone(self) -> ZoneInfo:
        """The time in which its days run."""
        return ZoneInfo(self.timezone)

    @property
    def meter(self) -> VirtualMeter:
        """What goes into it, version by version."""
        said = {"code": self.code, "name_zh": self.name_zh, "name_en": self.name_en, "commodity": self.commodity}
        return VirtualMeter.model_validate({**said, "unit": self.unit, "version": self.versions})


@dataclass(frozen=True, slots=True)
class StoredReading:
    """One usable reading of a counter."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Stored:
    """The consumption of one meter in one local day or month; ``code`` is the device's or the virtual meter's."""

    id: UUID
    point_id: int | None
    virtual_id: UUID | None
    code: str
    grain: str
    first: date
    starts_at: datetime
    ends_at: datetime
    state: str
    quantity: Decimal | None
    unit: str
    estimated: bool
    evidence: Evidence
    version: int
    worked_at: datetime


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of a stored consumption: how it is known at both ends, or why there is none."""

    point_id: int | None
    virtual_id: UUID | None
    first: date
    starts_at: datetime
    ends_at: datetime
    state: str
    quantity: Decimal | None
    estimated: bool
    version: int
    worked_at: datetime
    start_value: str | None
    start_method: str | None
    end_value: str | None
    end_method: str | None
    doubt: str | None


@dataclass(frozen=True, slots=True)
class Edges:
    """The first and the last good reading of a counter in a UTC hour."""

    point_id: int
    first: float
    first_at: datetime
    last: float
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What one recomputation changed of a fact."""

    id: UUID
    consumption_id: UUID
    code: str
    grain: str
    first: date
    version: int
    changed_at: datetime
    cause: str
    quantity_before: Decimal | None
    quantity_after: Decimal | None
    unit: str
    differences: list[dict[str, str]]
    after_final: bool
    invoices: list[str]


@dataclass(frozen=True, slots=True)
class Mark:
    """An hour of a counter in which something came in."""

    point_id: int
    bucket: datetime


@dataclass(frozen=True, slots=True)
class Touched:
    """A day whose fact the marked hours may change."""

    point_id: int
    first: date


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice with a line of a meter; ``period_end`` is the first day after."""

    number: str
    period_start: date
    period_end: date
